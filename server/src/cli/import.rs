//! `latentdb import`: data into the database.

use std::sync::Arc;

use clap::Args;
use latentdb_datasets::Progress;
use latentdb_datasets::neuronpedia::{self, ImportOptions};

use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global, interruptible, print_notice};
use crate::intake;

/// A Neuronpedia export.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportArgs {
    /// A directory or an HTTP(S) listing: one source (…/v1/MODEL/SOURCE), one model, or all of v1
    #[arg(value_name = "DIR|URL")]
    location: String,
    /// Replace sources that are in the database already
    #[arg(long)]
    replace: bool,
    /// Accept an export in which numbered files are missing
    #[arg(long)]
    allow_gaps: bool,
}

const EXAMPLES: &str = "\
An import becomes visible as a whole, source by source. One that was interrupted goes on where it stopped
when it is run again.

Examples:
  latentdb import neuronpedia ./v1/gpt2-small/10-res-jb --data ./mydb
  latentdb import neuronpedia ./v1/gpt2-small --data ./mydb
  latentdb import neuronpedia https://neuronpedia-datasets.s3.us-east-1.amazonaws.com/v1/gpt2-small/10-res-jb \\
      --replace --data ./mydb";

pub(super) async fn run(global: &Global, args: ImportArgs) -> CliResult {
    let engine = database::open(global, Purpose::Write).await?;
    let options = ImportOptions {
        replace: args.replace,
        allow_gaps: args.allow_gaps,
        threads: global.threads,
        state_directory: intake::state_directory(&database::location(global)?),
    };
    let progress: Arc<dyn Progress> = Arc::new(Shown::on_stderr());
    let work = neuronpedia::import(&engine, &args.location, options, Arc::clone(&progress));
    // Dropping the import stops it; files that it had finished are picked up by the next one.
    let outcome = interruptible(work).await;
    drop(progress);
    engine.close().await?;
    for source in &outcome?.sources {
        println!("{}", intake::describe_import(source));
        for (key, times) in &source.unknown_keys {
            print_notice(&format!("{}: passed over {key}, {times} times", source.address));
        }
    }
    Ok(())
}

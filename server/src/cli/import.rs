//! `latentdb import`: data into the database.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use latentdb_datasets::Progress;
use latentdb_datasets::neuronpedia::{self, ImportOptions, SourceReport};

use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global, home_directory, interruptible, print_notice};

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
        state_directory: state_directory(&database::location(global)?),
    };
    let progress: Arc<dyn Progress> = Arc::new(Shown::on_stderr());
    let work = neuronpedia::import(&engine, &args.location, options, Arc::clone(&progress));
    // Dropping the import stops it; files that it had finished are picked up by the next one.
    let outcome = interruptible(work).await;
    drop(progress);
    engine.close().await?;
    for source in &outcome?.sources {
        println!("{}", describe(source));
        for (key, times) in &source.unknown_keys {
            print_notice(&format!("{}: passed over {key}, {times} times", source.address));
        }
    }
    Ok(())
}

/// Where an import notes what it has finished: in a local database itself, else among the user's files.
fn state_directory(location: &str) -> Option<PathBuf> {
    if !location.contains("://") {
        return Some(PathBuf::from(location).join("_staging"));
    }
    let name: String = location.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(home_directory()?.join(".local/state/latentdb").join(name))
}

fn describe(source: &SourceReport) -> String {
    let rows: Vec<_> = source.rows.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
    let resumed = match source.resumed_files {
        0 => String::new(),
        files => format!(", {files} of them read by an interrupted import"),
    };
    format!(
        "{}: {} from {} files{resumed} in {:.1} s",
        source.address,
        rows.join(", "),
        source.files,
        source.elapsed.as_secs_f64()
    )
}

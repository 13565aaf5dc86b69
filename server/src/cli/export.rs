//! `latentdb export`: data out of the database.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use latentdb_datasets::Progress;
use latentdb_datasets::neuronpedia;

use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global};

/// Neuronpedia's export layout.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The source to write
    #[arg(value_name = "MODEL/SOURCE")]
    source: String,
    /// Directory that the layout's v1 folder goes into
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  latentdb export neuronpedia gpt2-small/10-res-jb ./export --data ./mydb";

pub(super) async fn run(global: &Global, args: ExportArgs) -> CliResult {
    let engine = database::open(global, Purpose::Read).await?;
    let progress: Arc<dyn Progress> = Arc::new(Shown::on_stderr());
    let outcome = tokio::select! {
        outcome = neuronpedia::export(&engine, &args.source, &args.directory, Arc::clone(&progress)) => outcome,
        _ = tokio::signal::ctrl_c() => Err(latentdb_engine::Error::cancelled()),
    };
    drop(progress);
    engine.close().await?;
    let report = outcome?;
    println!(
        "{} features, {} activations, {} explanations in {} files at {}",
        report.features,
        report.activations,
        report.explanations,
        report.files,
        report.folder.display()
    );
    Ok(())
}

//! `latentdb eval`: how well sources describe their points.

use std::sync::Arc;

use clap::Args;
use latentdb_udfs::{EvalOptions, Evaluated, Stages};

use super::corpus::CorpusArgs;
use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global, interruptible};

/// What to evaluate.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EvalArgs {
    /// Model id
    model: String,
    /// A source, several with commas between them, or a source set
    sources: String,
    #[command(flatten)]
    corpus: CorpusArgs,
    /// Prompts at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    n_prompts: usize,
    /// Do not run the model with the reconstruction in the place of what was there
    #[arg(long)]
    without_losses: bool,
}

const EXAMPLES: &str = "\
Sparsity, reconstruction, and what the model loses with the reconstruction in the place of what was there: SAEBench's core
metrics, kept in the table evals. In SQL: CALL eval_source('MODEL', 'SOURCES', 'SELECT …').

Examples:
  latentdb eval gpt2-small 10-res-jb ./corpus.jsonl --data ./mydb
  latentdb eval gpt2-small res-jb 'SELECT text FROM documents' --n-prompts 64 --data ./mydb";

pub(super) async fn run(global: &Global, args: EvalArgs) -> CliResult {
    let (engine, models) = database::open_with_models(global, Purpose::Write).await?;
    let progress: Arc<dyn Stages> = Arc::new(Shown::on_stderr());
    let mut options = EvalOptions::new(&args.model, &args.sources, latentdb_udfs::Corpus::Statement(String::new()));
    options.corpus = args.corpus.options(args.n_prompts);
    options.losses = !args.without_losses;
    let outcome = interruptible(Box::pin(models.eval_sources(&engine, options, Arc::clone(&progress)))).await;
    drop((progress, models));
    engine.close().await?;
    outcome?.iter().for_each(|found| print!("{}", describe(found)));
    Ok(())
}

fn describe(found: &Evaluated) -> String {
    let mut text = format!("{}, on {} tokens\n", found.source, found.tokens);
    for (name, value) in &found.metrics {
        text.push_str(&format!("  {name:<40} {value:>14.6}\n"));
    }
    text
}

//! `latentdb generate`: features and activations from weights and a corpus.

use std::sync::Arc;

use clap::Args;
use latentdb_udfs::{GenerateOptions, Generated, Stages};

use super::corpus::CorpusArgs;
use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global, interruptible};

/// What to generate.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GenerateArgs {
    /// Model id
    model: String,
    /// A source, several with commas between them, a source set, or vectors/ID of the table vectors
    sources: String,
    #[command(flatten)]
    corpus: CorpusArgs,
    /// Prompts at most
    #[arg(long, default_value_t = 24_576, value_name = "N")]
    n_prompts: usize,
    /// Another source of the model whose nearest features are kept beside the source's own
    #[arg(long, value_name = "SOURCE")]
    nearest_source: Option<String>,
    /// Features and neurons to keep of those that correlate most with each feature; takes longer
    #[arg(long, default_value_t = 0, value_name = "N")]
    correlated: usize,
    /// Seed of the draw of examples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Name of the corpus, to be kept with the source [default: the file or the statement]
    #[arg(long)]
    dataset: Option<String>,
}

const EXAMPLES: &str = "\
The dashboards take the place of those that are there, all at once, when the run is through. A run that was stopped
goes on where it was when it is started again. In SQL: CALL generate_dashboards('MODEL', 'SOURCES', 'SELECT …').

Examples:
  latentdb generate gpt2-small 10-res-jb ./corpus.jsonl --data ./mydb
  latentdb generate gpt2-small res-jb ./corpus.parquet --n-prompts 4096 --packing full --data ./mydb
  latentdb generate gpt2-small 5-res-jb ./corpus.jsonl --nearest-source 6-res-jb --correlated 3 --data ./mydb
  latentdb generate gpt2-small vectors/my-vector ./corpus.jsonl --data ./mydb
  latentdb generate my-model 3-res 'SELECT text FROM documents' --context-length 64 --data ./mydb";

pub(super) async fn run(global: &Global, args: GenerateArgs) -> CliResult {
    let (engine, models) = database::open_with_models(global, Purpose::Write).await?;
    let progress: Arc<dyn Stages> = Arc::new(Shown::on_stderr());
    let work = Box::pin(models.generate_dashboards(&engine, options(args), Arc::clone(&progress)));
    let outcome = interruptible(work).await;
    drop((progress, models));
    engine.close().await?;
    outcome?.iter().for_each(|made| println!("{}", describe(made)));
    Ok(())
}

fn options(args: GenerateArgs) -> GenerateOptions {
    let corpus = args.corpus.options(args.n_prompts);
    let mut options = GenerateOptions::new(&args.model, &args.sources, corpus.corpus.clone());
    options.corpus = corpus;
    options.nearest_source = args.nearest_source;
    options.correlated = args.correlated;
    options.activity.seed = args.seed;
    options.dataset = args.dataset;
    options
}

fn describe(made: &Generated) -> String {
    let resumed = match made.resumed_prompts {
        0 => String::new(),
        prompts => format!(", {prompts} of them run before"),
    };
    format!(
        "{}: {} features, {} of them active, {} activations, from {} prompts ({} tokens){resumed} in {:.1} s",
        made.source,
        made.features,
        made.alive,
        made.activations,
        made.prompts,
        made.tokens,
        made.elapsed.as_secs_f64()
    )
}

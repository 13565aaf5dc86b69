//! `latentdb model`: the language models that the database can run.

use std::sync::Arc;

use clap::Subcommand;
use latentdb_engine::SessionOptions;
use latentdb_udfs::{Downloads, Location, add_lens, add_model};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::progress::Shown;
use super::statements::Printer;
use super::{CliResult, Global, interruptible};
use crate::intake;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(super) enum ModelAction {
    /// Add a model, or say where the weights of one that is there are
    #[command(after_help = "\
A model is Hugging Face's files: config.json, model.safetensors (or its shards) and tokenizer.json. In a directory they stay
where they are; from the hub they are fetched into the cache that all of Hugging Face's libraries share (HF_HOME), from
HF_ENDPOINT if that is set, with the token in HF_TOKEN if a model wants one. A download that was interrupted goes on where
it stopped.

Well-known models need no FROM: their ids are those of Neuronpedia and TransformerLens.

Examples:
  latentdb model add gpt2-small --data ./mydb
  latentdb model add my-model ./checkpoints/my-model --data ./mydb
  latentdb model add qwen hf:Qwen/Qwen3-0.6B --data ./mydb")]
    Add {
        /// Short id, as in a feature's address
        id: String,
        /// Directory of its files, or hf:ORG/REPO[@REVISION]
        #[arg(value_name = "FROM")]
        from: Option<String>,
    },
    /// Add a model's Jacobian lens, in place of the one that it has
    #[command(after_help = "\
A Jacobian lens is one file with a matrix for each layer: {\"J\": {layer: matrix}} in a .pt file, or tensors J.0, J.1, … in a
.safetensors file. Those that Neuronpedia publishes are in hf:neuronpedia/jacobian-lens.

Examples:
  latentdb model lens my-model ./my-model_jacobian_lens.pt --data ./mydb
  latentdb model lens qwen3-4b \\
    hf:neuronpedia/jacobian-lens/qwen3-4b/jlens/Salesforce-wikitext/Qwen3-4B_jacobian_lens.pt --data ./mydb")]
    Lens {
        /// Model id
        model: String,
        /// The file, or hf:ORG/REPO[@REVISION]/FILE
        #[arg(value_name = "FROM")]
        from: String,
    },
    /// List the models
    #[command(after_help = "Examples:\n  latentdb model list --data ./mydb")]
    List {
        /// How the list is printed
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
}

const LIST: &str =
    "SELECT model_id, family, n_layers, d_model, n_heads, d_vocab, n_ctx, weights_uri FROM models ORDER BY model_id";

pub(super) async fn run(global: &Global, action: ModelAction) -> CliResult {
    match action {
        ModelAction::Add { id, from } => add(global, &id, from.as_deref()).await,
        ModelAction::Lens { model, from } => lens(global, &model, &from).await,
        ModelAction::List { format } => list(global, LIST, format).await,
    }
}

async fn add(global: &Global, id: &str, from: Option<&str>) -> CliResult {
    let location = intake::model_location(id, from)?;
    let engine = database::open(global, Purpose::Write).await?;
    let shown: Arc<dyn Downloads> = Arc::new(Shown::on_stderr());
    let added = interruptible(add_model(&engine, id, &location, &shown)).await;
    drop(shown);
    engine.close().await?;
    println!("{}", intake::describe_model(id, &added?));
    Ok(())
}

async fn lens(global: &Global, model: &str, from: &str) -> CliResult {
    let location: Location = from.parse()?;
    let engine = database::open(global, Purpose::Write).await?;
    let shown: Arc<dyn Downloads> = Arc::new(Shown::on_stderr());
    let added = interruptible(add_lens(&engine, model, &location, &shown)).await;
    drop(shown);
    engine.close().await?;
    let added = added?;
    let prompts = added.n_prompts.map_or(String::new(), |count| format!(", averaged over {count} prompts"));
    println!("{model}: Jacobians of {} layers{prompts}", added.layers.len());
    Ok(())
}

/// Prints what a query gives.
pub(super) async fn list(global: &Global, sql: &str, format: OutputFormat) -> CliResult {
    let engine = database::open(global, Purpose::Read).await?;
    let session = engine.session_with(SessionOptions { user: "latentdb".to_owned(), ..SessionOptions::default() });
    let outcome = Printer::new(format).run_all(&session, sql).await;
    drop(session);
    engine.close().await?;
    outcome
}

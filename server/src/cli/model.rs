//! `latentdb model`: the language models that the database can run.

use std::path::PathBuf;

use clap::Subcommand;
use latentdb_engine::SessionOptions;
use latentdb_udfs::add_model;

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::statements::Printer;
use super::{CliResult, Global};

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(super) enum ModelAction {
    /// Add a model, or say where the weights of one that is there are
    #[command(after_help = "\
The directory has Hugging Face's files: config.json, model.safetensors (or its shards) and tokenizer.json.
The files stay where they are.

Examples:
  latentdb model add gpt2-small ./gpt2 --data ./mydb")]
    Add {
        /// Short id, as in a feature's address
        id: String,
        /// Directory of its files
        #[arg(value_name = "DIR")]
        directory: PathBuf,
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
        ModelAction::Add { id, directory } => {
            let engine = database::open(global, Purpose::Write).await?;
            let added = add_model(&engine, &id, &directory).await;
            engine.close().await?;
            let config = added?.config;
            println!("{id}: {}, {} layers of width {}", config.family, config.n_layers, config.d_model);
            Ok(())
        }
        ModelAction::List { format } => list(global, LIST, format).await,
    }
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

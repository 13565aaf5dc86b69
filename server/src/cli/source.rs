//! `latentdb source`: the dictionaries (SAEs, transcoders) that read a model's features.

use std::path::PathBuf;

use clap::Subcommand;
use latentdb_engine::{Error, ErrorKind};
use latentdb_udfs::{SourceHints, add_source};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::{CliResult, Global, model};

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(super) enum SourceAction {
    /// Add a source, or say where the weights of one that is there are
    #[command(after_help = "\
The format is told by the files: SAELens, Gemma Scope, Llama Scope, sparsify, dictionary_learning and others.
What the files do not say can be given with --hint. The files stay where they are.

Examples:
  latentdb source add gpt2-small/10-res-jb ./saes/blocks.10.hook_resid_pre --data ./mydb
  latentdb source add my-model/3-res ./ae.pt --hint hook_name=blocks.3.hook_resid_post --data ./mydb")]
    Add {
        /// Address: MODEL/SOURCE, where a source is {layer}-{set}
        #[arg(value_name = "MODEL/SOURCE")]
        address: String,
        /// Folder or file of its weights
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Something the files do not say, as NAME=VALUE; may be repeated
        #[arg(long = "hint", value_name = "NAME=VALUE")]
        hints: Vec<String>,
    },
    /// List the sources
    #[command(after_help = "Examples:\n  latentdb source list --data ./mydb")]
    List {
        /// How the list is printed
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
}

const LIST: &str = "\
SELECT model_id, source_id, architecture, d_sae, hook_point, weights_uri FROM sources ORDER BY model_id, layer, source_id";

pub(super) async fn run(global: &Global, action: SourceAction) -> CliResult {
    match action {
        SourceAction::Add { address, path, hints } => {
            let (model, source) = address.split_once('/').ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, format!("{address:?} is no source's address"))
                    .with_hint("write MODEL/SOURCE, as in gpt2-small/10-res-jb")
            })?;
            let hints = SourceHints::parse(&hints)?;
            let engine = database::open(global, Purpose::Write).await?;
            let added = add_source(&engine, model, source, &path, hints).await;
            engine.close().await?;
            let config = added?.config;
            println!("{address}: {}, {} features at {}", config.architecture, config.d_sae, config.point);
            Ok(())
        }
        SourceAction::List { format } => model::list(global, LIST, format).await,
    }
}

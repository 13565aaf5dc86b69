//! `latentdb source`: the dictionaries (SAEs, transcoders) that read a model's features.

use std::sync::Arc;

use clap::Subcommand;
use latentdb_datasets::registry::{PublicSource, Registry};
use latentdb_udfs::{Downloads, SourceHints, add_source};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::progress::Shown;
use super::{CliResult, Global, interruptible, model, print_notice};
use crate::intake;

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(super) enum SourceAction {
    /// Add a source, or say where the weights of one that is there are
    #[command(after_help = "\
A source that Neuronpedia has needs no FROM: where it lies on the Hugging Face hub, and how it is read, is known. So does every
other one in SAELens' list of releases, under saelens:RELEASE/ID; `latentdb source find` shows them. Files of the hub are
fetched into the cache that all of Hugging Face's libraries share; `latentdb model add --help` has more on that.

The format is told by the files: SAELens, Gemma Scope, Llama Scope, sparsify, dictionary_learning and others. What the files
do not say can be given with --hint. Files in a directory stay where they are.

Examples:
  latentdb source add gpt2-small/10-res-jb --data ./mydb
  latentdb source add gemma-2-2b/5-res saelens:gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_68 --data ./mydb
  latentdb source add my-model/3-res hf:me/my-saes/layer_3 --data ./mydb
  latentdb source add my-model/3-res ./ae.pt --hint hook_name=blocks.3.hook_resid_post --data ./mydb")]
    Add {
        /// Address: MODEL/SOURCE, where a source is {layer}-{set}
        #[arg(value_name = "MODEL/SOURCE")]
        address: String,
        /// Folder or file of its weights, hf:ORG/REPO[@REVISION]/PATH, or saelens:RELEASE/ID
        #[arg(value_name = "FROM")]
        from: Option<String>,
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
    /// Look for published sources
    #[command(after_help = "\
Every line is what to give to `latentdb source add`: Neuronpedia's address, or saelens:RELEASE/ID for one that is not there.

Examples:
  latentdb source find gpt2-small res-jb
  latentdb source find gemma-2-2b transcoder 16k")]
    Find {
        /// Words of its name, its model or its repository
        #[arg(required = true)]
        words: Vec<String>,
        /// How many to show
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
}

const LIST: &str = "\
SELECT model_id, source_id, architecture, d_sae, hook_point, weights_uri FROM sources ORDER BY model_id, layer, source_id";

pub(super) async fn run(global: &Global, action: SourceAction) -> CliResult {
    match action {
        SourceAction::Add { address, from, hints } => {
            add(global, &address, from.as_deref(), SourceHints::parse(&hints)?).await
        }
        SourceAction::List { format } => model::list(global, LIST, format).await,
        SourceAction::Find { words, limit } => find(&words, limit),
    }
}

async fn add(global: &Global, address: &str, from: Option<&str>, hints: SourceHints) -> CliResult {
    let (location, hints) = intake::source_location(address, from, hints)?;
    let engine = database::open(global, Purpose::Write).await?;
    let shown: Arc<dyn Downloads> = Arc::new(Shown::on_stderr());
    let added = interruptible(add_source(&engine, address, &location, hints, &shown)).await;
    drop(shown);
    engine.close().await?;
    println!("{}", intake::describe_source(address, &added?));
    Ok(())
}

fn find(words: &[String], limit: usize) -> CliResult {
    let found = Registry::open()?.find(words);
    for source in found.iter().take(limit) {
        println!("{}", line(source));
    }
    if found.is_empty() {
        print_notice("nothing published has all of these words in its name");
    } else if found.len() > limit {
        print_notice(&format!("{} more; another word, or --limit, narrows or widens the list", found.len() - limit));
    }
    Ok(())
}

/// A published source on a line of its own: what to add, its L0, where it is.
fn line(source: &PublicSource) -> String {
    let name = source.neuronpedia.clone().unwrap_or_else(|| format!("{}{}", intake::SAELENS, source.name()));
    let l0 = source.l0.map_or_else(String::new, |l0| format!("  L0 {l0:.0}"));
    format!("{name}  {}{l0}", source.location)
}

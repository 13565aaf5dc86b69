//! `latentdb activate`: which features a text makes fire, for people who want no SQL.

use clap::Args;
use latentdb_engine::{SessionOptions, text_literal};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::statements::Printer;
use super::{CliResult, Global};

/// Show which features a text makes fire.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ActivateArgs {
    /// Model id
    model: String,
    /// A source, several with commas between them, or a source set
    sources: String,
    /// The text
    text: String,
    /// How many features to show
    #[arg(long, short = 'k', default_value_t = 10, value_name = "K")]
    top_k: u32,
    /// Show the activation at every token too
    #[arg(long)]
    acts: bool,
    /// How the features are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

const EXAMPLES: &str = "\
The same in SQL: SELECT * FROM activate('MODEL', 'SOURCES', 'TEXT', top_k => K)

Examples:
  latentdb activate gpt2-small 10-res-jb 'The cat sat on the mat' --data ./mydb
  latentdb activate gpt2-small res-jb 'The cat sat on the mat' --top-k 50 --format ndjson --data ./mydb";

pub(super) async fn run(global: &Global, args: ActivateArgs) -> CliResult {
    let engine = database::open(global, Purpose::Read).await?;
    let session = engine.session_with(SessionOptions { user: "latentdb".to_owned(), ..SessionOptions::default() });
    let outcome = Printer::new(args.format).run_all(&session, &query(&args)).await;
    drop(session);
    engine.close().await?;
    outcome
}

/// What a feature is said to mean is one of its explanations.
fn query(args: &ActivateArgs) -> String {
    let acts = if args.acts { ", a.tokens, a.acts" } else { "" };
    format!(
        "SELECT a.source_id, a.index, a.max_value, a.max_position, a.tokens[a.max_position + 1] AS max_token, \
         max(e.description) AS explanation{acts} \
         FROM activate({}, {}, {}, top_k => {}) a \
         LEFT JOIN explanations e ON e.model_id = a.model_id AND e.source_id = a.source_id AND e.index = a.index \
         GROUP BY a.source_id, a.index, a.max_value, a.max_position, a.tokens{acts} \
         ORDER BY a.max_value DESC, a.source_id, a.index",
        text_literal(&args.model),
        text_literal(&args.sources),
        text_literal(&args.text),
        args.top_k
    )
}

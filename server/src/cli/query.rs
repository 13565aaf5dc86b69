//! `latentdb sql`: SQL from the command line, a file, a pipe, or a prompt. No server is needed.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use latentdb_engine::{Error, ErrorKind, SessionOptions};

use super::database::{self, Purpose};
use super::format::OutputFormat;
use super::statements::Printer;
use super::{CliResult, Global, repl};

/// Run SQL, or start a prompt.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SqlArgs {
    /// SQL statements; without them, a file or standard input is read, or a prompt started
    sql: Option<String>,
    /// Read the statements from a file; - is standard input
    #[arg(long, short, value_name = "PATH", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

const EXAMPLES: &str = "\
Examples:
  latentdb sql --data ./mydb 'SELECT count(*) FROM features'
  latentdb sql --data ./mydb --format csv 'SELECT * FROM explanations' > explanations.csv
  latentdb sql --data ./mydb --file questions.sql
  echo 'SHOW ALL' | latentdb sql --data ./mydb
  latentdb sql --data ./mydb          # a prompt; \\? there lists its commands";

pub(super) async fn run(global: &Global, args: SqlArgs) -> CliResult {
    let script = match (args.sql, args.file) {
        (Some(sql), _) => Some(sql),
        (None, Some(path)) if path.as_os_str() == "-" => Some(read_stdin()?),
        (None, Some(path)) => Some(
            std::fs::read_to_string(&path)
                .map_err(|error| Error::new(ErrorKind::Io, format!("cannot read {}: {error}", path.display())))?,
        ),
        (None, None) if !std::io::stdin().is_terminal() => Some(read_stdin()?),
        (None, None) => None,
    };
    let engine = database::open(global, Purpose::WriteIfFree).await?;
    let options = SessionOptions {
        user: user_name(),
        application_name: "latentdb sql".to_owned(),
        process_id: i32::try_from(std::process::id()).unwrap_or_default(),
    };
    let session = engine.session_with(options);
    let printer = Printer::new(args.format);
    let outcome = match script {
        Some(script) => printer.run_all(&session, &script).await,
        None => repl::run(&session, printer, &database::location(global)?).await,
    };
    drop(session);
    engine.close().await?;
    outcome
}

fn read_stdin() -> Result<String, Error> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// The name the system knows the user by, as psql has it.
fn user_name() -> String {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "latentdb".to_owned())
}

//! The `latentdb` command line: arguments in, an exit code out.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to standard output, everything else
//! (errors, notices, progress, the log) to standard error, so that output can be piped.

mod activate;
mod check;
mod corpus;
mod database;
mod eval;
mod export;
mod format;
mod generate;
mod import;
pub(crate) mod key;
mod layout;
mod limits;
mod model;
mod progress;
mod query;
mod repl;
mod serve;
mod source;
mod statements;
mod stop_signals;
mod user;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind as UsageKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use latentdb_engine::{Error, ErrorKind};

use crate::telemetry::{self, LogFormat};

/// An analytics database for the insides of neural networks.
#[derive(Debug, Parser)]
#[command(name = "latentdb", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  latentdb --data ./mydb import neuronpedia ./export/gpt2-small/10-res-jb
  latentdb --data ./mydb sql 'SELECT index, density FROM features ORDER BY density DESC LIMIT 5'
  latentdb --data ./mydb activate gpt2-small 10-res-jb 'The cat sat on the mat'
  latentdb --data ./mydb serve
  LATENTDB_DATA=s3://bucket/db latentdb check";

/// Options every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The database: a directory or an s3://bucket/prefix URL
    #[arg(long, global = true, env = "LATENTDB_DATA", value_name = "PATH|URL")]
    data: Option<String>,
    /// Memory that queries may take before they spill to disk, such as 4GB [default: 70% of the machine's]
    #[arg(long, global = true, env = "LATENTDB_MEMORY", value_name = "BYTES", value_parser = crate::config::parse_bytes)]
    memory: Option<usize>,
    /// Threads that run queries [default: one per core]
    #[arg(long, global = true, env = "LATENTDB_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Where models run: cpu, cuda:N, metal [default: cpu]
    #[arg(long, global = true, env = "LATENTDB_DEVICE", value_name = "DEVICE")]
    device: Option<latentdb_udfs::DeviceName>,
    /// Memory that loaded models and sources may take, such as 8GB [default: 8GB]
    #[arg(long, global = true, env = "LATENTDB_MODEL_MEMORY", value_name = "BYTES", value_parser = crate::config::parse_bytes)]
    model_memory: Option<usize>,
    /// How models keep their weights for writing texts, on the processor: f32; near (16 bits); int8, which is fastest and least
    /// exact [default: f32]
    #[arg(long, global = true, env = "LATENTDB_STEP_WEIGHTS", value_name = "KIND")]
    step_weights: Option<latentdb_udfs::StepWeights>,
    /// How log lines look
    #[arg(long, global = true, env = "LATENTDB_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the database over the Postgres wire protocol and HTTP
    Serve(serve::ServeArgs),
    /// Run SQL, or start a prompt
    Sql(query::SqlArgs),
    /// Read data into the database
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// Write data out of the database
    Export {
        #[command(subcommand)]
        to: ExportTo,
    },
    /// Manage the language models that can be run
    Model {
        #[command(subcommand)]
        action: model::ModelAction,
    },
    /// Manage the sources (SAEs, transcoders) that read a model's features
    Source {
        #[command(subcommand)]
        action: source::SourceAction,
    },
    /// Show which features a text makes fire
    Activate(activate::ActivateArgs),
    /// Make features and their activations from weights and a corpus
    Generate(generate::GenerateArgs),
    /// Measure how well sources describe what they read, into the table evals
    Eval(eval::EvalArgs),
    /// Lay features out in the plane, with clusters
    Layout(layout::LayoutArgs),
    /// Read every table and file and verify them
    Check(check::CheckArgs),
    /// Manage the users that log in over the Postgres wire protocol
    User {
        #[command(subcommand)]
        action: user::UserAction,
    },
    /// Manage the keys of the HTTP API
    Key {
        #[command(subcommand)]
        action: key::KeyAction,
    },
}

#[derive(Debug, Subcommand)]
enum ImportFrom {
    /// A Neuronpedia export: a directory or an HTTP(S) listing of one source, a model, or all of v1
    Neuronpedia(import::ImportArgs),
}

#[derive(Debug, Subcommand)]
enum ExportTo {
    /// Neuronpedia's export layout
    Neuronpedia(export::ExportArgs),
}

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work failed.
    Failed(Error),
    /// The command line does not make sense.
    Usage(String),
    /// Whoever read our output has stopped; there is nothing left to do.
    OutputClosed,
}

pub(crate) type CliResult<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    /// Failures to write the output.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Failed(Error::new(ErrorKind::Io, format!("cannot write the output: {error}")))
    }
}

/// Parsing and binding deep statements recurses; address space is cheap.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What commands log unless LATENTDB_LOG says otherwise: what fails, and why opening a database takes long.
const COMMAND_LOG: &str = "error,latentdb_engine::storage::lease=warn";

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            let helped = matches!(error.kind(), UsageKind::DisplayHelp | UsageKind::DisplayVersion);
            return if helped && shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    // Two TLS libraries' providers are among the dependencies; rustls wants the choice made by hand.
    // It fails only if somebody made it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match start(cli) {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            let _ = Cli::command().error(UsageKind::MissingRequiredArgument, message).print();
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> CliResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("latentdb-io")
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|error| Error::new(ErrorKind::Resources, format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(run(cli));
    // A prompt's thread may still wait for a key; nothing is gained by waiting for it.
    runtime.shutdown_background();
    outcome
}

async fn run(cli: Cli) -> CliResult {
    let Cli { global, command } = cli;
    if let Command::Serve(args) = command {
        return serve::run(&global, args).await;
    }
    telemetry::start_logging(global.log_format.unwrap_or_default(), COMMAND_LOG)?;
    match command {
        Command::Serve(_) => Ok(()),
        Command::Sql(args) => query::run(&global, args).await,
        Command::Import { from: ImportFrom::Neuronpedia(args) } => import::run(&global, args).await,
        Command::Export { to: ExportTo::Neuronpedia(args) } => export::run(&global, args).await,
        Command::Model { action } => model::run(&global, action).await,
        Command::Source { action } => source::run(&global, action).await,
        Command::Activate(args) => activate::run(&global, args).await,
        Command::Generate(args) => generate::run(&global, args).await,
        Command::Eval(args) => eval::run(&global, args).await,
        Command::Layout(args) => layout::run(&global, args).await,
        Command::Check(args) => check::run(&global, args).await,
        Command::User { action } => user::run(&global, action).await,
        Command::Key { action } => key::run(&global, action).await,
    }
}

/// Prints `error: …`, and what else is known, to standard error.
pub(crate) fn print_error(error: &Error) {
    let (red, reset) = if std::io::stderr().is_terminal() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{red}error:{reset} {}", error.message());
    if let Some(detail) = error.detail() {
        eprintln!("detail: {detail}");
    }
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
}

/// A remark for the user, on standard error.
pub(crate) fn print_notice(message: &str) {
    eprintln!("notice: {message}");
}

/// Runs work that Ctrl-C ends, and that goes on where it stopped when it is run again.
async fn interruptible<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => {
            Err(Error::cancelled().with_hint("run the same command again to go on where it stopped"))
        }
    }
}

/// Where a person's own files go; `None` if the system does not tell.
pub(crate) fn home_directory() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| !path.as_os_str().is_empty())
}

//! Opening the database that the command line names.

use std::path::Path;

use latentdb_engine::{Engine, EngineOptions, Result};
use latentdb_udfs::{GenerationOptions, Models, ModelsOptions};

use super::{CliResult, Failure, Global, print_notice};

/// What a command wants of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It only reads: no lock is taken, and there must be a database.
    Read,
    /// It writes: another writer is an error, and a new database is made if there is none.
    Write,
    /// It writes if it can, and reads if another process holds the database.
    WriteIfFree,
}

/// Opens the database for `purpose`.
pub(super) async fn open(global: &Global, purpose: Purpose) -> CliResult<Engine> {
    open_with_models(global, purpose).await.map(|(engine, _)| engine)
}

/// Opens the database for `purpose`, for who calls models without a session.
pub(super) async fn open_with_models(global: &Global, purpose: Purpose) -> CliResult<(Engine, Models)> {
    let location = location(global)?;
    let fresh = purpose != Purpose::Read && is_missing(&location);
    let options = EngineOptions {
        read_only: purpose == Purpose::Read,
        read_only_if_locked: purpose == Purpose::WriteIfFree,
        create: purpose != Purpose::Read,
        ..options(global)
    };
    let engine = Engine::open(&location, options).await?;
    let models = attach_models(&engine, global, GenerationOptions::default())?;
    if fresh {
        print_notice(&format!("there was no database at {location}; this is a new one"));
    }
    if engine.is_read_only() && purpose == Purpose::WriteIfFree {
        print_notice("another process has the database open for writing: this session is read-only");
    }
    Ok((engine, models))
}

/// The options that every command shares.
pub(super) fn options(global: &Global) -> EngineOptions {
    EngineOptions { memory_bytes: global.memory, threads: global.threads, ..EngineOptions::default() }
}

/// Lets the sessions of `engine` call models.
pub(super) fn attach_models(engine: &Engine, global: &Global, generation: GenerationOptions) -> Result<Models> {
    let defaults = ModelsOptions::default();
    let options = ModelsOptions {
        device: global.device.unwrap_or_default(),
        memory: global.model_memory.map_or(defaults.memory, |bytes| bytes as u64),
        generation,
        step_weights: global.step_weights.unwrap_or_default(),
        ..defaults
    };
    Models::attach(engine, options)
}

/// The database's location, as given.
pub(super) fn location(global: &Global) -> CliResult<String> {
    global
        .data
        .clone()
        .filter(|location| !location.is_empty())
        .ok_or_else(|| Failure::Usage("no database is named: give --data PATH|URL, or set LATENTDB_DATA".to_owned()))
}

/// Whether a local `location` is not there yet. Of remote ones only the engine knows.
fn is_missing(location: &str) -> bool {
    !location.contains("://") && !Path::new(location).exists()
}

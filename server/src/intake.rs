//! What comes into a database from outside (exports, models, sources), as the command line and the jobs of the HTTP server
//! both read it: where things lie, and how what was done is told.

use std::path::PathBuf;

use latentdb_datasets::neuronpedia::SourceReport;
use latentdb_datasets::registry::Registry;
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_udfs::{AddedModel, AddedSource, Location, SourceHints};

use crate::cli::home_directory;

/// What a name in SAELens' list starts with.
pub(crate) const SAELENS: &str = "saelens:";

/// Where an import notes what it has finished: in a local database itself, else among the user's files.
pub(crate) fn state_directory(database: &str) -> Option<PathBuf> {
    if !database.contains("://") {
        return Some(PathBuf::from(database).join("_staging"));
    }
    let name: String = database.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(home_directory()?.join(".local/state/latentdb").join(name))
}

/// Where a model lies: at `from`, or where the one that is known as `id` does.
pub(crate) fn model_location(id: &str, from: Option<&str>) -> Result<Location> {
    if let Some(from) = from {
        return from.parse();
    }
    let known = Registry::open()?.model(id).ok_or_else(|| {
        Error::new(ErrorKind::UndefinedObject, format!("no model is known as {id}"))
            .with_hint(format!("say where it is: latentdb model add {id} DIR, or hf:ORG/REPO"))
    })?;
    known.parse()
}

/// Where a source lies, and what is known of how it is read; hints that were given win.
pub(crate) fn source_location(
    address: &str,
    from: Option<&str>,
    hints: SourceHints,
) -> Result<(Location, SourceHints)> {
    let name = match from {
        Some(from) => from.strip_prefix(SAELENS),
        None if address.contains('/') => Some(address),
        None => Some(""),
    };
    match (name, from) {
        (Some(name), _) => {
            let public = Registry::open()?.source(name).ok_or_else(|| unknown(address, name))?;
            Ok((public.location.parse()?, hints.over(public.hints)))
        }
        (None, from) => Ok((from.unwrap_or_default().parse()?, hints)),
    }
}

fn unknown(address: &str, name: &str) -> Error {
    let (model, _) = address.split_once('/').unwrap_or((address, ""));
    Error::new(ErrorKind::UndefinedObject, format!("no published source is known as {name:?}")).with_hint(format!(
        "latentdb source find {model} lists those that are; for one of your own, say where it is: \
         latentdb source add MODEL/SOURCE DIR, or hf:ORG/REPO/PATH"
    ))
}

/// What the import of a source did, on one line.
pub(crate) fn describe_import(source: &SourceReport) -> String {
    let rows: Vec<_> = source.rows.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
    let resumed = match source.resumed_files {
        0 => String::new(),
        files => format!(", {files} of them read by an interrupted import"),
    };
    format!(
        "{}: {} from {} files{resumed} in {:.1} s",
        source.address,
        rows.join(", "),
        source.files,
        source.elapsed.as_secs_f64()
    )
}

/// What was added, on one line.
pub(crate) fn describe_model(id: &str, added: &AddedModel) -> String {
    let config = &added.config;
    format!("{id}: {}, {} layers of width {}", config.family, config.n_layers, config.d_model)
}

/// What was added, on one line.
pub(crate) fn describe_source(address: &str, added: &AddedSource) -> String {
    let config = &added.config;
    format!("{address}: {}, {} features at {}", config.architecture, config.d_sae, config.point)
}

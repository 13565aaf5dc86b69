//! The work of a job: what the command line does for the same request.

use std::path::PathBuf;
use std::sync::Arc;

use latentdb_datasets::Progress;
use latentdb_datasets::neuronpedia::{self, ImportOptions};
use latentdb_engine::{Engine, Error, ErrorKind, Outcome, Result};
use latentdb_udfs::{Downloads, SourceHints, add_model, add_source};
use serde_json::Value;

use super::meter::Meter;
use super::request::JobRequest;
use crate::http::rows::rows;
use crate::intake;

/// What jobs work with.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) engine: Engine,
    /// Where imports note what they have finished.
    pub(super) state_directory: Option<PathBuf>,
    /// Threads that read an import; one per core if it is not said.
    pub(super) threads: Option<usize>,
}

impl Worker {
    /// Does what is asked, as `user`, and tells what came of it. Dropping the future stops the work.
    pub(super) async fn run(self, request: JobRequest, user: String, meter: Arc<Meter>) -> Result<String> {
        match request {
            JobRequest::Statement { sql } => Box::pin(self.statement(&sql, &user, &meter)).await,
            JobRequest::Import { from, replace } => Box::pin(self.import(&from, replace, meter)).await,
            JobRequest::Model { id, path } => {
                let location = intake::model_location(&id, path.as_deref())?;
                let downloads: Arc<dyn Downloads> = meter;
                let added = Box::pin(add_model(&self.engine, &id, &location, &downloads)).await?;
                Ok(intake::describe_model(&id, &added))
            }
            JobRequest::Source { model, id, path } => {
                let address = format!("{model}/{id}");
                let (location, hints) = intake::source_location(&address, path.as_deref(), SourceHints::default())?;
                let downloads: Arc<dyn Downloads> = meter;
                let added = Box::pin(add_source(&self.engine, &address, &location, hints, &downloads)).await?;
                Ok(intake::describe_source(&address, &added))
            }
        }
    }

    async fn import(&self, from: &str, replace: bool, meter: Arc<Meter>) -> Result<String> {
        let options = ImportOptions {
            replace,
            allow_gaps: false,
            threads: self.threads,
            state_directory: self.state_directory.clone(),
        };
        let progress: Arc<dyn Progress> = meter;
        let report = neuronpedia::import(&self.engine, from, options, progress).await?;
        Ok(report.sources.iter().map(intake::describe_import).collect::<Vec<_>>().join("; "))
    }

    async fn statement(&self, sql: &str, user: &str, meter: &Meter) -> Result<String> {
        let session = self.engine.session(user);
        let mut statements = session.parse(sql)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::new(ErrorKind::Syntax, "a job runs exactly one statement"));
        };
        meter.follow(&session);
        match session.run(&statement).await? {
            Outcome::Rows { rows: answered, .. } => {
                let lines = answered.collect().await?.iter().map(describe).collect::<Result<Vec<_>>>()?;
                Ok(lines.concat().join("; "))
            }
            Outcome::Done { command, notice } => Ok(notice.unwrap_or_else(|| command.to_owned())),
            Outcome::Changed { command, rows } => Ok(format!("{command} {rows}")),
            Outcome::CopyIn(_) | Outcome::CopyOut(_) => {
                Err(Error::new(ErrorKind::Unsupported, "a job does not copy from or to its caller"))
            }
        }
    }
}

/// The rows that a procedure answers, each on one line.
fn describe(batch: &arrow::record_batch::RecordBatch) -> Result<Vec<String>> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |row: &crate::http::rows::Row| {
        let members = row.iter().filter(|(_, value)| !value.is_null());
        members
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok(rows(batch)?.iter().map(line).collect())
}

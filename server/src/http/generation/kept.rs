//! Runs in the table `saved_runs`: kept under ids that nobody guesses, and read again by them.

use latentdb_engine::{Engine, Error, ErrorKind, RepeatedQuery, Result, ScalarValue};
use serde_json::{Map, Value};

use crate::http::rows::{execute, member, rows};

const KEEP: &str = "INSERT INTO saved_runs (run_id, kind, model_id, request, response, created_at) \
                    VALUES ($1, $2, $3, $4, $5, now())";
const LOAD: &str = "SELECT kind, request, response FROM saved_runs WHERE run_id = $1";

/// A run that was kept.
#[derive(Debug)]
pub(super) struct KeptRun {
    /// What was asked.
    pub request: Map<String, Value>,
    /// What came back.
    pub response: Map<String, Value>,
}

/// An id for a run that is to be kept.
pub(super) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Keeps a run.
pub(super) async fn keep(
    engine: &Engine,
    id: &str,
    kind: &str,
    model: &str,
    request: &Value,
    response: &Value,
) -> Result<()> {
    let values = [id, kind, model, &request.to_string(), &response.to_string()];
    execute(engine, KEEP, values.into_iter().map(ScalarValue::from).collect()).await.map(drop)
}

/// The run with an id, if it is of one of `kinds`.
pub(super) async fn load(engine: &Engine, id: &str, kinds: &[&str]) -> Result<Option<KeptRun>> {
    let query = RepeatedQuery::new(engine.clone(), "http", LOAD);
    let found = rows(&query.rows(&[ScalarValue::from(id)]).await?)?;
    let is_wanted = |kind: &Value| kind.as_str().is_some_and(|kind| kinds.contains(&kind));
    let Some(row) = found.first().filter(|row| is_wanted(&member(row, "kind"))) else { return Ok(None) };
    Ok(Some(KeptRun { request: object(&member(row, "request"))?, response: object(&member(row, "response"))? }))
}

/// JSON that may come as the text that it is kept as.
fn object(value: &Value) -> Result<Map<String, Value>> {
    let read = match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Object(members) => Some(members.clone()),
        _ => None,
    };
    read.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a saved run is no JSON object"))
}

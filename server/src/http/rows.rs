//! Results of queries as JSON, for handlers that put them together anew; and changes, for handlers that make some.

use arrow::record_batch::RecordBatch;
use latentdb_engine::{Engine, Outcome, Result, ScalarValue};
use serde_json::{Map, Value};

use crate::json::{RowShape, write_rows};

/// A row of a result.
pub(super) type Row = Map<String, Value>;

/// The rows of a result.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut text = vec![b'['];
    write_rows(batch, RowShape::Object, &mut text, |is_first, out| {
        if !is_first {
            out.push(b',');
        }
    })?;
    text.push(b']');
    serde_json::from_slice(&text).map_err(|error| {
        latentdb_engine::Error::new(latentdb_engine::ErrorKind::Internal, format!("rows are no JSON: {error}"))
    })
}

/// Makes a change of the database, with `values` for `$1`, `$2` and so on; gives how many rows it changed.
pub(super) async fn execute(engine: &Engine, sql: &str, values: Vec<ScalarValue>) -> Result<u64> {
    let session = engine.session("latentdb");
    let mut changed = 0;
    for statement in session.parse(sql)? {
        let prepared = session.prepare(&statement, &[]).await?;
        if let Outcome::Changed { rows, .. } = session.execute(&prepared, Vec::clone(&values)).await? {
            changed += rows;
        }
    }
    Ok(changed)
}

/// A member of a row; null if it is not there.
pub(super) fn member(row: &Row, name: &str) -> Value {
    row.get(name).cloned().unwrap_or_default()
}

/// A number of a row; 0 if it is not there.
pub(super) fn number(row: &Row, name: &str) -> f64 {
    row.get(name).and_then(Value::as_f64).unwrap_or_default()
}

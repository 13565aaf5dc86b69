//! Statements that requests run over and over: planned once for each session, not for each request.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use latentdb_engine::{Engine, Error, ErrorKind, Prepared, Result, ScalarValue, Session};

/// Idle sessions kept per statement; more requests at once than this plan anew.
const KEPT_SESSIONS: usize = 32;

/// One query with parameters, ready to run on as many sessions as requests need at once.
#[derive(Debug)]
pub(super) struct Lookup {
    engine: Engine,
    sql: String,
    idle: Mutex<Vec<Planned>>,
}

#[derive(Debug)]
struct Planned {
    session: Session,
    prepared: Prepared,
}

impl Lookup {
    pub(super) fn new(engine: Engine, sql: impl Into<String>) -> Self {
        Self { engine, sql: sql.into(), idle: Mutex::new(Vec::new()) }
    }

    /// All rows, as one batch: for results known to be small. Boxed, because a page waits for many
    /// look-ups at once and the engine's futures are large.
    pub(super) fn rows<'a>(&'a self, parameters: &'a [ScalarValue]) -> BoxFuture<'a, Result<RecordBatch>> {
        Box::pin(self.read(parameters))
    }

    async fn read(&self, parameters: &[ScalarValue]) -> Result<RecordBatch> {
        let planned = match self.take_idle() {
            Some(planned) => planned,
            None => self.plan().await?,
        };
        let types = planned.prepared.parameters();
        let values = parameters.iter().enumerate().map(|(position, value)| cast(value, types.get(position)));
        let values = values.collect::<Result<Vec<_>>>()?;
        let rows = planned.session.execute(&planned.prepared, values).await?.into_rows()?;
        let schema = rows.schema().clone();
        let batches = rows.collect().await?;
        // A session whose statement failed is dropped: nothing is gained by keeping it.
        self.give_back(planned);
        concat_batches(&schema, &batches).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }

    async fn plan(&self) -> Result<Planned> {
        let session = self.engine.session("http");
        let mut statements = session.parse(&self.sql)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::new(ErrorKind::Internal, "a look-up must be one statement"));
        };
        let prepared = session.prepare(&statement, &[]).await?;
        Ok(Planned { session, prepared })
    }

    fn take_idle(&self) -> Option<Planned> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, planned: Planned) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_SESSIONS {
            idle.push(planned);
        }
    }
}

/// The text in a cell of a string column; `None` for null, another type, or a cell that is not there.
pub(super) fn text_at(batch: &RecordBatch, column: usize, row: usize) -> Option<&str> {
    let array = batch.columns().get(column)?;
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

fn cast(value: &ScalarValue, to: Option<&DataType>) -> Result<ScalarValue> {
    match to {
        Some(to) if *to != value.data_type() => {
            value.cast_to(to).map_err(|error| Error::new(ErrorKind::InvalidValue, error.to_string()))
        }
        _ => Ok(value.clone()),
    }
}

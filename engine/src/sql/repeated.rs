//! Queries that a program runs over and over: planned once for each of a few sessions, not each time.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;

use crate::{Engine, Error, ErrorKind, Prepared, Result, Session};

/// Idle sessions kept per query; more callers at once than this plan anew.
const KEPT_SESSIONS: usize = 32;

/// One query with parameters, ready to run on as many sessions at once as callers need.
#[derive(Debug)]
pub struct RepeatedQuery {
    engine: Engine,
    user: String,
    sql: String,
    idle: Mutex<Vec<Planned>>,
}

#[derive(Debug)]
struct Planned {
    session: Session,
    prepared: Prepared,
}

impl RepeatedQuery {
    /// The query `sql`, run as `user`. Parameters are `$1`, `$2` and so on. Nothing is planned yet.
    pub fn new(engine: Engine, user: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { engine, user: user.into(), sql: sql.into(), idle: Mutex::new(Vec::new()) }
    }

    /// All rows, as one batch: for results known to be small. Boxed, because callers wait for many at once and the
    /// engine's futures are large.
    pub fn rows<'a>(&'a self, parameters: &'a [ScalarValue]) -> BoxFuture<'a, Result<RecordBatch>> {
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
        let schema = Arc::clone(rows.schema());
        let batches = rows.collect().await?;
        // A session whose statement failed is dropped: nothing is gained by keeping it.
        self.give_back(planned);
        concat_batches(&schema, &batches).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
    }

    async fn plan(&self) -> Result<Planned> {
        let session = self.engine.session(&self.user);
        let mut statements = session.parse(&self.sql)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::new(ErrorKind::Internal, "a repeated query must be one statement"));
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

fn cast(value: &ScalarValue, to: Option<&DataType>) -> Result<ScalarValue> {
    match to {
        Some(to) if *to != value.data_type() => {
            value.cast_to(to).map_err(|error| Error::new(ErrorKind::InvalidValue, error.to_string()))
        }
        _ => Ok(value.clone()),
    }
}

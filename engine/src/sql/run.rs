//! Running a plan on the query runtime and handing its batches over, a few at a time.
//!
//! The executor works ahead of the reader by [`AHEAD`] batches at most. Dropping the rows, a cancel and
//! a timeout all stop it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, UInt64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, collect, execute_stream};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{errors, names};
use crate::runtime::{AbortOnDrop, QueryRuntime};
use crate::search;
use crate::storage::rewrite;
use crate::{Error, ErrorKind, Result, RowStream};

/// Batches that wait for the reader.
const AHEAD: usize = 2;

/// What ends a statement before its time.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    token: CancellationToken,
    deadline: Option<Instant>,
}

impl Stop {
    pub(crate) fn new(token: CancellationToken, timeout: Option<Duration>) -> Self {
        Self { token, deadline: timeout.map(|timeout| Instant::now() + timeout) }
    }

    /// Nothing ends it but its own end.
    pub(crate) fn never() -> Self {
        Self { token: CancellationToken::new(), deadline: None }
    }

    /// Waits until the statement has to stop; answers why.
    async fn reason(&self) -> Error {
        let expired = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.token.cancelled() => Error::cancelled(),
            () = expired => errors::timed_out(),
        }
    }

    /// Why an executor that fell silent did so: it was told to stop, or it broke.
    fn silence(&self) -> Error {
        // The executor's timer may fire a little before the reader's.
        let slack = Duration::from_millis(100);
        match self.deadline {
            _ if self.token.is_cancelled() => Error::cancelled(),
            Some(deadline) if Instant::now() + slack >= deadline => errors::timed_out(),
            _ => Error::new(ErrorKind::Internal, "the statement hit a fault in LatentDB while it ran"),
        }
    }

    /// Waits for `work`, but no longer than the statement may run.
    pub(crate) async fn race<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            error = self.reason() => Err(error),
            result = work => result,
        }
    }
}

/// Starts `plan` and answers its rows; `failed` is called if they end with an error.
pub(crate) async fn rows(
    runtime: &QueryRuntime,
    state: Arc<SessionState>,
    plan: LogicalPlan,
    stop: Stop,
    failed: impl FnOnce() + Send + 'static,
) -> Result<RowStream> {
    let (announce, announced) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(AHEAD);
    let within = stop.clone();
    let task = runtime.spawn(async move {
        let stream = match start(&state, &plan).await {
            Ok(stream) => stream,
            Err(error) => return drop(announce.send(Err(error))),
        };
        if announce.send(Ok(stream.schema())).is_ok() {
            forward(stream, sender, within).await;
        }
    });
    let gone = |_| Error::new(ErrorKind::Internal, "the statement hit a fault in LatentDB while it was planned");
    let schema = stop.race(async { announced.await.map_err(gone)? }).await?;
    Ok(reader(Reader { receiver, stop, failed: Some(failed), _task: task }, &schema))
}

/// Rows that are there already.
pub(crate) fn found(batch: RecordBatch) -> Result<RowStream> {
    let shown = names::visible(&batch.schema());
    let batch = relabelled(&batch, Arc::clone(&shown))?;
    Ok(RowStream::new(shown, futures::stream::once(async { Ok(batch) }).boxed()))
}

/// Runs `plan`, which changes rows, to its end; answers how many it changed.
pub(crate) async fn count(
    runtime: &QueryRuntime,
    state: Arc<SessionState>,
    plan: LogicalPlan,
    stop: &Stop,
) -> Result<u64> {
    let work = runtime.run(async move {
        let physical = match &plan {
            LogicalPlan::Dml(change) => rewrite::plan_change(&state, change)?,
            _ => None,
        };
        let physical = match physical {
            Some(physical) => physical,
            None => state.create_physical_plan(&plan).await?,
        };
        let batches = collect(physical, task_context(&state)).await?;
        batches.iter().map(counted).sum()
    });
    stop.race(work).await
}

/// The `count` in the one row that a change answers.
fn counted(batch: &RecordBatch) -> Result<u64> {
    if batch.num_rows() == 0 {
        return Ok(0);
    }
    let counts = batch.columns().first().and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
    let counts = counts.ok_or_else(|| Error::new(ErrorKind::Internal, "a change did not answer a row count"))?;
    Ok(counts.iter().flatten().sum())
}

async fn start(state: &Arc<SessionState>, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
    let folded = Box::pin(search::constants::fold(plan, state)).await?;
    let physical = state.create_physical_plan(folded.as_ref().unwrap_or(plan)).await?;
    Ok(execute_stream(physical, task_context(state))?)
}

/// What operators may ask while they run. Functions are bound in the plan, so none are listed.
fn task_context(state: &SessionState) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        state.session_id().to_owned(),
        state.config().clone(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        Arc::clone(state.runtime_env()),
    ))
}

/// Sends the stream's batches and then `None`. A channel that closes without it was cut off: rows that are
/// missing at the end must never look like a complete answer.
async fn forward(mut stream: SendableRecordBatchStream, sender: mpsc::Sender<Result<Option<RecordBatch>>>, stop: Stop) {
    let pump = async {
        loop {
            let next = stream.next().await.transpose().map_err(Error::from);
            let is_last = !matches!(next, Ok(Some(_)));
            if sender.send(next).await.is_err() || is_last {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        // The reader notices by itself; what matters here is to let go of memory and threads.
        _ = stop.reason() => {}
        () = pump => {}
    }
}

/// The reading end of a running statement.
struct Reader<F> {
    receiver: mpsc::Receiver<Result<Option<RecordBatch>>>,
    stop: Stop,
    failed: Option<F>,
    _task: AbortOnDrop<()>,
}

fn reader<F: FnOnce() + Send + 'static>(reader: Reader<F>, schema: &SchemaRef) -> RowStream {
    let shown = names::visible(schema);
    let renamed = !Arc::ptr_eq(&shown, schema);
    let target = Arc::clone(&shown);
    let batches = futures::stream::unfold(Some(reader), move |reader| {
        let target = Arc::clone(&target);
        async move {
            let mut reader = reader?;
            let next = tokio::select! {
                biased;
                error = reader.stop.reason() => Err(error),
                next = reader.receiver.recv() => next.unwrap_or_else(|| Err(reader.stop.silence())),
            };
            match next {
                Ok(None) => None,
                Ok(Some(batch)) if renamed => Some((relabelled(&batch, target), Some(reader))),
                Ok(Some(batch)) => Some((Ok(batch), Some(reader))),
                Err(error) => {
                    if let Some(failed) = reader.failed.take() {
                        failed();
                    }
                    Some((Err(error), None))
                }
            }
        }
    });
    RowStream::new(shown, batches.boxed())
}

/// `batch` under other column names.
fn relabelled(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let relabelled = RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options);
    Ok(relabelled.map_err(DataFusionError::from)?)
}

//! `COPY … FROM STDIN` and `COPY … TO STDOUT`.
//!
//! Incoming rows flow as they are read into one `INSERT`; nothing of them is visible before the input
//! ended and all of it was good.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, StringArray, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::sql::sqlparser::ast;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::conversation::Conversation;
use super::copy_records::{FieldText, Records};
use super::run::Stop;
use super::transaction::{Current, commit_durably};
use super::{changes, prepared, run, text_values};
use crate::outcome::{CopyIn, CopyOptions, CopyOut, CopySink};
use crate::runtime::AbortOnDrop;
use crate::{Error, ErrorKind, Outcome, Result};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;
/// Text decoded at a time, in bytes.
const BATCH_BYTES: usize = 8 << 20;

/// `COPY … TO STDOUT`.
pub(crate) async fn output(
    session: &Arc<Conversation>,
    query: &ast::Statement,
    options: CopyOptions,
) -> Result<Outcome> {
    let rows = rows(session, query).await?;
    Ok(Outcome::CopyOut(CopyOut { rows, options }))
}

/// Runs `query`, which has no parameters.
pub(crate) async fn rows(session: &Arc<Conversation>, query: &ast::Statement) -> Result<crate::RowStream> {
    let stop = session.stop();
    let transaction = session.current().transaction;
    let planning = prepared::on_query_threads(session, &transaction, query.clone(), Vec::new());
    let planned = stop.race(planning).await?;
    run::rows(&session.shared().runtime, planned.state, planned.plan, stop, session.on_failure()).await
}

/// `COPY table (columns) FROM STDIN`.
pub(crate) async fn input(
    session: &Arc<Conversation>,
    table: &str,
    columns: &[String],
    options: CopyOptions,
) -> Result<Outcome> {
    changes::refuse_if_read_only(session, "COPY FROM")?;
    session.place().note_write();
    let current = session.current();
    let provider = session.shared().writable(&current.transaction, table)?;
    let target = Arc::new(Target::new(table, &provider, columns)?);
    let width = target.columns.len();
    let stop = session.stop();
    let insert = Insert::start(session, &current, &target, provider)?;
    let sink = Sink {
        records: Records::new(options.clone(), width),
        pending: Pending::new(width),
        target,
        insert,
        current,
        stop,
        session: Arc::clone(session),
        failed: false,
    };
    Ok(Outcome::CopyIn(CopyIn::new(width, options, Box::new(sink))))
}

/// The table that rows go into, and where its columns come from.
#[derive(Debug)]
struct Target {
    table: String,
    schema: SchemaRef,
    /// Index in the table of each incoming column.
    columns: Vec<usize>,
}

impl Target {
    fn new(table: &str, provider: &Arc<dyn TableProvider>, names: &[String]) -> Result<Self> {
        let schema = provider.schema();
        let columns = match names.is_empty() {
            true => (0..schema.fields().len()).collect(),
            false => names
                .iter()
                .map(|name| {
                    schema.index_of(name).map_err(|_| {
                        let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
                        Error::new(ErrorKind::UndefinedColumn, message)
                    })
                })
                .collect::<Result<_>>()?,
        };
        Ok(Self { table: table.to_owned(), schema, columns })
    }

    /// Decoded rows, in the table's columns; those that do not come in are null.
    fn batch(&self, pending: Pending) -> Result<RecordBatch> {
        let Pending { lines, columns: texts, .. } = pending;
        let rows = lines.len();
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        for (index, texts) in self.columns.iter().zip(texts) {
            let texts = StringArray::from(texts);
            let field = self.schema.field(*index);
            let values = text_values::parse(&texts, field.data_type()).map_err(|bad| {
                let line = lines.get(bad.row).copied().unwrap_or_default();
                let message = format!(
                    "invalid input for column \"{}\" of type {}: \"{}\"",
                    field.name(),
                    field.data_type(),
                    bad.text
                );
                Error::new(ErrorKind::InvalidValue, message).with_detail(self.place(line))
            })?;
            if let Some(slot) = columns.get_mut(*index) {
                *slot = Some(values);
            }
        }
        let mut complete = Vec::with_capacity(columns.len());
        for (field, values) in self.schema.fields().iter().zip(columns) {
            let values = values.unwrap_or_else(|| new_null_array(field.data_type(), rows));
            if !field.is_nullable() && values.null_count() > 0 {
                let row = (0..rows).find(|row| values.is_null(*row)).unwrap_or_default();
                let line = lines.get(row).copied().unwrap_or_default();
                let message = format!("null value in column \"{}\" of relation \"{}\"", field.name(), self.table);
                return Err(Error::new(ErrorKind::Constraint, message).with_detail(self.place(line)));
            }
            complete.push(values);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), complete);
        Ok(batch.map_err(DataFusionError::from)?)
    }

    fn place(&self, line: u64) -> String {
        format!("COPY {}, line {line}", self.table)
    }

    /// `error` with the name of the table.
    fn placed(&self, error: Error) -> Error {
        match error.detail() {
            Some(detail) if detail.starts_with("line ") => {
                let detail = format!("COPY {}, {detail}", self.table);
                error.with_detail(detail)
            }
            _ => error,
        }
    }
}

/// Fields that are read and not yet decoded.
#[derive(Debug)]
struct Pending {
    lines: Vec<u64>,
    columns: Vec<Vec<FieldText>>,
    bytes: usize,
}

impl Pending {
    fn new(width: usize) -> Self {
        Self { lines: Vec::new(), columns: vec![Vec::new(); width], bytes: 0 }
    }

    fn push(&mut self, line: u64, fields: Vec<FieldText>) {
        self.lines.push(line);
        for (column, field) in self.columns.iter_mut().zip(fields) {
            self.bytes += field.as_ref().map_or(0, String::len);
            column.push(field);
        }
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

/// An `INSERT` that runs while its rows come in.
struct Insert {
    rows: mpsc::Sender<Pending>,
    inserted: oneshot::Receiver<Result<u64>>,
    _task: AbortOnDrop<()>,
}

impl Insert {
    fn start(
        session: &Arc<Conversation>,
        current: &Current,
        target: &Arc<Target>,
        provider: Arc<dyn TableProvider>,
    ) -> Result<Self> {
        let (rows, incoming) = mpsc::channel(1);
        let (done, inserted) = oneshot::channel();
        let state = Arc::new(session.planner()?.state(&current.transaction, Default::default()));
        let plan = insert_plan(target, provider, incoming)?;
        let runtime = session.shared().runtime.clone();
        // No reason to stop but its own: the sink watches over time and cancels.
        let task = session.shared().runtime.spawn(async move {
            let forever = Stop::never();
            let _ = done.send(run::count(&runtime, state, plan, &forever).await);
        });
        Ok(Self { rows, inserted, _task: task })
    }

    async fn push(&mut self, rows: Pending) -> Result<()> {
        if self.rows.send(rows).await.is_ok() {
            return Ok(());
        }
        match (&mut self.inserted).await {
            Ok(Err(error)) => Err(error),
            _ => Err(Error::new(ErrorKind::Internal, "the rows were not taken")),
        }
    }

    async fn finish(self) -> Result<u64> {
        let Self { rows, inserted, _task } = self;
        drop(rows);
        inserted.await.map_err(|_| Error::new(ErrorKind::Internal, "the rows were not taken"))?
    }
}

fn insert_plan(
    target: &Arc<Target>,
    provider: Arc<dyn TableProvider>,
    incoming: mpsc::Receiver<Pending>,
) -> Result<LogicalPlan> {
    let stream = Incoming { target: Arc::clone(target), rows: Mutex::new(Some(incoming)) };
    let source = StreamingTable::try_new(Arc::clone(&target.schema), vec![Arc::new(stream)])?;
    let input = LogicalPlanBuilder::scan("stdin", provider_as_source(Arc::new(source)), None)?.build()?;
    Ok(LogicalPlanBuilder::insert_into(input, &target.table, provider_as_source(provider), InsertOp::Append)?
        .build()?)
}

/// Rows from a channel, as a table that is read once. They are decoded on a thread of their own, beside the one that reads the
/// socket and the one that writes the file.
#[derive(Debug)]
struct Incoming {
    target: Arc<Target>,
    rows: Mutex<Option<mpsc::Receiver<Pending>>>,
}

impl PartitionStream for Incoming {
    fn schema(&self) -> &SchemaRef {
        &self.target.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut decoded = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.target.schema), 1);
        let (target, batches) = (Arc::clone(&self.target), decoded.tx());
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        decoded.spawn_blocking(move || {
            let Some(mut rows) = rows else { return Ok(()) };
            while let Some(pending) = rows.blocking_recv() {
                let batch = target.batch(pending)?;
                if batches.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        decoded.build()
    }
}

/// Takes the bytes of a `COPY … FROM STDIN`.
struct Sink {
    records: Records,
    pending: Pending,
    target: Arc<Target>,
    insert: Insert,
    current: Current,
    stop: Stop,
    session: Arc<Conversation>,
    failed: bool,
}

impl Sink {
    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let pending = &mut self.pending;
        self.records.push(bytes, &mut |line, fields| pending.push(line, fields))?;
        if self.pending.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        let pending = std::mem::replace(&mut self.pending, Pending::new(self.target.columns.len()));
        if pending.lines.is_empty() {
            return Ok(());
        }
        self.insert.push(pending).await
    }

    /// The end of the input: the rest is decoded and all of it inserted.
    async fn complete(mut self) -> Result<u64> {
        let pending = &mut self.pending;
        self.records.finish(&mut |line, fields| pending.push(line, fields))?;
        self.flush().await?;
        let Self { insert, current, session, .. } = self;
        let rows = insert.finish().await?;
        if current.own {
            commit_durably(&session, current.transaction).await?;
        }
        Ok(rows)
    }
}

impl CopySink for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.failed {
                return Err(Error::new(ErrorKind::BadInput, "the COPY has failed already"));
            }
            let stop = self.stop.clone();
            let result = stop.race(self.take(&bytes)).await.map_err(|error| self.target.placed(error));
            if result.is_err() {
                self.failed = true;
                self.session.place().fail();
            }
            result
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<u64>> {
        async move {
            if self.failed {
                return Err(Error::new(ErrorKind::BadInput, "the COPY has failed already"));
            }
            let (session, target) = (Arc::clone(&self.session), Arc::clone(&self.target));
            let result = self.complete().await.map_err(|error| target.placed(error));
            if result.is_err() {
                session.place().fail();
            }
            result
        }
        .boxed()
    }
}

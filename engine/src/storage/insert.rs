//! `INSERT`: rows into a transaction. A few rows wait in memory for the commit, many go to files at once.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::common::Result as PlanResult;
use datafusion::datasource::sink::DataSink;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, SendableRecordBatchStream};
use futures::{StreamExt, TryStreamExt};

use super::table::Table;
use super::transaction::Transaction;
use super::writer::{conform, write_sorted_stream};

/// Rows and bytes up to which an insert waits in memory.
const PENDING_ROWS: usize = 16 * 1024;
const PENDING_BYTES: usize = 8 << 20;

/// Takes the rows of an `INSERT`, sorted by the table's key.
#[derive(Debug)]
pub(crate) struct InsertSink {
    table: Arc<Table>,
    schema: SchemaRef,
    /// The same columns, all nullable: nulls are refused by [`conform`], whose message names the column.
    lenient: SchemaRef,
    transaction: Arc<Transaction>,
}

impl InsertSink {
    pub(crate) fn new(table: Arc<Table>, transaction: Arc<Transaction>) -> Self {
        let schema = Arc::clone(&table.snapshot().schema);
        let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let lenient = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { table, schema, lenient, transaction }
    }
}

impl DisplayAs for InsertSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeltaInsert(table={})", self.table.name)
    }
}

#[async_trait]
impl DataSink for InsertSink {
    // What rows may look like when they come; the table's own schema, the field `schema`, is stricter.
    #[allow(clippy::misnamed_getters)]
    fn schema(&self) -> &SchemaRef {
        &self.lenient
    }

    async fn write_all(&self, mut data: SendableRecordBatchStream, _context: &Arc<TaskContext>) -> PlanResult<u64> {
        let (mut first, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while let Some(batch) = data.try_next().await? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            first.push(batch);
            if rows > PENDING_ROWS || bytes > PENDING_BYTES {
                let schema = data.schema();
                let all = futures::stream::iter(first.into_iter().map(Ok)).chain(data);
                let stream = Box::pin(RecordBatchStreamAdapter::new(schema, all));
                let (adds, written) = write_sorted_stream(&self.table, stream).await?;
                self.transaction.stage_adds(&self.table, adds)?;
                return Ok(written);
            }
        }
        let pending = first
            .iter()
            .map(|batch| conform(batch, &self.schema, &self.table.name))
            .collect::<crate::Result<Vec<_>>>()?;
        self.transaction.stage_rows(&self.table, pending);
        Ok(rows as u64)
    }
}

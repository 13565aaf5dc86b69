//! A table as DataFusion sees it: one snapshot to scan, and a transaction that takes changes.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, Result as PlanResult};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexRequirement, PhysicalSortRequirement};
use datafusion::physical_plan::ExecutionPlan;

use datafusion::execution::SessionState;

use super::insert::InsertSink;
use super::scan::ScanTarget;
use super::table::{Table, TableSnapshot};
use super::transaction::Transaction;
use super::{merge, rewrite};
use crate::search;
use crate::{Error, ErrorKind};

/// A table in a transaction, or an older state of one.
#[derive(Debug)]
pub(crate) struct DeltaTableProvider {
    table: Arc<Table>,
    snapshot: Arc<TableSnapshot>,
    /// `None` for an older state, which takes no changes.
    transaction: Option<Arc<Transaction>>,
    target: ScanTarget,
}

impl DeltaTableProvider {
    pub(crate) fn new(
        table: Arc<Table>,
        snapshot: Arc<TableSnapshot>,
        target: ScanTarget,
        transaction: Option<Arc<Transaction>>,
    ) -> Self {
        Self { table, snapshot, transaction, target }
    }

    /// Whether it shows the transaction's snapshot, and not an older state.
    pub(crate) fn is_current(&self) -> bool {
        self.transaction.is_some()
    }

    /// Name of the table.
    pub(crate) fn table_name(&self) -> &str {
        &self.table.name
    }

    /// The transaction that takes changes.
    pub(crate) fn transaction(&self) -> PlanResult<&Arc<Transaction>> {
        let transaction = self.transaction.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("an older version of table \"{}\" cannot be changed", self.table.name),
            )
        })?;
        transaction.check_writable()?;
        Ok(transaction)
    }

    /// What a scan reads: the snapshot's files and the transaction's own.
    pub(crate) async fn current_target(&self) -> PlanResult<ScanTarget> {
        let mut target = self.target.clone();
        if let Some(transaction) = &self.transaction {
            transaction.flush(&self.table).await?;
            target.files = transaction.files(&self.table.name, &self.snapshot);
        }
        Ok(target)
    }
}

#[async_trait]
impl TableProvider for DeltaTableProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.snapshot.schema)
    }

    // No `constraints()`: keys are not enforced on append, so the planner must not rely on them.

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        // Files are left out here; rows are filtered above, and from there by the Parquet source.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let target = self.current_target().await?;
        let projection = projection.map(Vec::as_slice);
        if let Some(state) = state.as_any().downcast_ref::<SessionState>()
            && let Some(plan) = search::plan(&target, &self.table.name, state, projection, filters)?
        {
            return Ok(plan);
        }
        let (_, filters) = search::without_questions(filters);
        target.plan(state, projection, &filters, limit)
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert_op: InsertOp,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let transaction = self.transaction()?;
        if insert_op != InsertOp::Append {
            return Err(Error::new(ErrorKind::Unsupported, format!("INSERT {insert_op} is not there"))
                .with_hint("DELETE the rows first, or use INSERT … ON CONFLICT")
                .into());
        }
        let sink = InsertSink::new(Arc::clone(&self.table), Arc::clone(transaction));
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), self.sort_requirement())))
    }

    async fn truncate(&self, _state: &dyn Session) -> PlanResult<Arc<dyn ExecutionPlan>> {
        rewrite::plan_truncate(self).await
    }

    async fn merge_into(
        &self,
        state: &dyn Session,
        source: Arc<dyn ExecutionPlan>,
        merge_schema: DFSchemaRef,
        on: Expr,
        clauses: Vec<MergeIntoClause>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        merge::plan_merge(self, state, source, merge_schema, on, clauses)
    }
}

impl DeltaTableProvider {
    fn sort_requirement(&self) -> Option<LexRequirement> {
        let ascending = SortOptions { descending: false, nulls_first: false };
        let columns = self.snapshot.sort_key.iter().filter_map(|name| {
            let index = self.snapshot.schema.index_of(name).ok()?;
            Some(PhysicalSortRequirement::new(Arc::new(Column::new(name, index)), Some(ascending)))
        });
        LexRequirement::new(columns)
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(crate) fn scan_target(&self) -> &ScanTarget {
        &self.target
    }
}

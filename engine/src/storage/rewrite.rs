//! `DELETE`, `UPDATE` and `TRUNCATE`: files that hold affected rows are written anew without them, or
//! with them changed.
//!
//! DataFusion's own `delete_from` hook takes a list of filters, extracted after optimisation; a predicate
//! with a subquery has become a join by then and is lost, and the statement would touch every row. So the
//! change is planned here, from the statement's unoptimised plan, where the predicate is still whole.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, Int32Array, Int64Array};
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::context::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{DmlStatement, WriteOp};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, cast, col, is_true, lit};
use datafusion::physical_plan::{ExecutionPlan, collect, execute_stream};

use super::change::ChangeExec;
use super::files::LiveFile;
use super::provider::DeltaTableProvider;
use super::scan::{FILE_COLUMN, ScanTarget};
use super::subset::SubsetProvider;
use super::table::Table;
use super::transaction::Transaction;
use super::writer::write_sorted_stream;
use crate::{Error, ErrorKind, Result};

/// Plans a `DELETE` or `UPDATE` of a Delta table from the statement's unoptimised plan. The plan yields
/// one row: the number of rows changed. `None` if the target is not a Delta table of ours.
pub(crate) fn plan_change(state: &SessionState, dml: &DmlStatement) -> PlanResult<Option<Arc<dyn ExecutionPlan>>> {
    let provider = source_as_provider(&dml.target)?;
    let Some(provider) = provider.downcast_ref::<DeltaTableProvider>() else { return Ok(None) };
    let transaction = Arc::clone(provider.transaction()?);
    let table = Arc::clone(provider.table());
    let change = match dml.op {
        WriteOp::Delete => Change { table, rows: without_projection(&dml.input), assignments: None },
        WriteOp::Update => {
            let LogicalPlan::Projection(projection) = dml.input.as_ref() else {
                return Err(Error::new(ErrorKind::Unsupported, "this form of UPDATE is not there").into());
            };
            let rows = projection.input.as_ref().clone();
            Change { table, rows, assignments: Some(projection.expr.clone()) }
        }
        _ => return Ok(None),
    };
    change.check_shape()?;
    let (name, target, state) = (provider.table_name().to_owned(), provider.scan_target().clone(), state.clone());
    let label = match dml.op {
        WriteOp::Delete => format!("DeltaDelete(table={name})"),
        _ => format!("DeltaUpdate(table={name})"),
    };
    Ok(Some(Arc::new(ChangeExec::new(label, vec![], move |_, context| {
        let (transaction, target, state, change) =
            (Arc::clone(&transaction), target.clone(), state.clone(), change.clone());
        Box::pin(async move { change.run(&transaction, target, &state, context).await })
    }))))
}

/// Plans a `TRUNCATE`.
pub(super) async fn plan_truncate(provider: &DeltaTableProvider) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let transaction = Arc::clone(provider.transaction()?);
    let table = Arc::clone(provider.table());
    let target = provider.current_target().await?;
    let label = format!("DeltaTruncate(table={})", table.name);
    Ok(Arc::new(ChangeExec::new(label, vec![], move |_, _| {
        let (transaction, table, files) = (Arc::clone(&transaction), Arc::clone(&table), target.files.clone());
        Box::pin(async move {
            transaction.stage_replacement(&table, &files, vec![])?;
            Ok(files.iter().filter_map(|file| file.rows).sum())
        })
    })))
}

/// The target's rows that the statement names: the plan below a `DELETE`.
fn without_projection(plan: &LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => projection.input.as_ref().clone(),
        other => other.clone(),
    }
}

/// A `DELETE` (no assignments) or `UPDATE`.
#[derive(Clone)]
struct Change {
    table: Arc<Table>,
    /// `Filter(scan of the target)`, or the scan alone.
    rows: LogicalPlan,
    /// New value of every column, by name, for an `UPDATE`.
    assignments: Option<Vec<Expr>>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl Change {
    /// Only `Filter`, aliases and the scan may stand below: anything else (a join: `UPDATE … FROM`)
    /// would not mean what this code does with it.
    fn check_shape(&self) -> Result<()> {
        let mut plan = &self.rows;
        loop {
            plan = match plan {
                LogicalPlan::Filter(filter) => filter.input.as_ref(),
                LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
                LogicalPlan::TableScan(_) => return Ok(()),
                _ => {
                    return Err(Error::new(ErrorKind::Unsupported, "a change that joins other tables is not there")
                        .with_hint("put the other table into a subquery, or use MERGE"));
                }
            };
        }
    }

    fn predicate(&self) -> Option<&Expr> {
        match &self.rows {
            LogicalPlan::Filter(filter) => Some(&filter.predicate),
            _ => None,
        }
    }

    fn input(&self) -> &LogicalPlan {
        match &self.rows {
            LogicalPlan::Filter(filter) => filter.input.as_ref(),
            other => other,
        }
    }

    async fn run(
        &self,
        transaction: &Arc<Transaction>,
        mut target: ScanTarget,
        state: &SessionState,
        context: Arc<TaskContext>,
    ) -> PlanResult<u64> {
        transaction.flush(&self.table).await?;
        let (_, snapshot) = transaction.entry(&self.table.name)?;
        target.files = transaction.files(&self.table.name, &snapshot);
        let matches = self.matches(&target, state, &context).await?;
        let affected: Vec<Arc<LiveFile>> = matches.iter().map(|(file, _)| Arc::clone(file)).collect();
        if affected.is_empty() {
            return Ok(0);
        }
        // A file all of whose rows go needs no rewriting: replacing a source touches metadata only.
        let rewritten: Vec<Arc<LiveFile>> = matches
            .iter()
            .filter(|(file, matched)| self.assignments.is_some() || file.rows != Some(*matched))
            .map(|(file, _)| Arc::clone(file))
            .collect();
        let adds = if rewritten.is_empty() {
            vec![]
        } else {
            target.files = rewritten;
            let stream = self.replacement_rows(&target, &snapshot.sort_key, state, &context).await?;
            write_sorted_stream(&self.table, stream).await?.0
        };
        transaction.stage_replacement(&self.table, &affected, adds)?;
        Ok(matches.iter().map(|(_, matched)| matched).sum())
    }

    /// Files with matching rows, and how many.
    async fn matches(
        &self,
        target: &ScanTarget,
        state: &SessionState,
        context: &Arc<TaskContext>,
    ) -> PlanResult<Vec<(Arc<LiveFile>, u64)>> {
        let scanned = ScanTarget { with_file_column: true, ..target.clone() };
        let rows = over(&self.rows, &self.table.name, SubsetProvider::new(scanned))?;
        // The scan below may stand behind an alias, so the column is looked up, not spelled out.
        let file = Expr::Column(
            rows.schema()
                .columns_with_unqualified_name(FILE_COLUMN)
                .first()
                .cloned()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the scan of a change has no file column"))?,
        );
        let plan = LogicalPlanBuilder::from(rows)
            .aggregate(vec![file.alias(FILE_COLUMN)], vec![count(lit(1_i64)).alias("n")])?
            .build()?;
        let batches = collect(state.create_physical_plan(&plan).await?, Arc::clone(context)).await?;
        let mut found = Vec::new();
        for batch in &batches {
            let places = batch.column(0).as_any().downcast_ref::<Int32Array>();
            let counts = batch.column(1).as_any().downcast_ref::<Int64Array>();
            let (Some(places), Some(counts)) = (places, counts) else {
                return Err(Error::new(ErrorKind::Internal, "unexpected types while counting matches").into());
            };
            for row in 0..batch.num_rows() {
                let place = usize::try_from(places.value(row)).ok();
                let file = place.and_then(|place| target.files.get(place));
                let file = file.ok_or_else(|| Error::new(ErrorKind::Internal, "a match in an unknown file"))?;
                found.push((Arc::clone(file), counts.value(row).unsigned_abs()));
            }
        }
        Ok(found)
    }

    /// Rows that take the place of the rewritten files' rows, sorted.
    async fn replacement_rows(
        &self,
        target: &ScanTarget,
        sort_key: &[String],
        state: &SessionState,
        context: &Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let subset = || SubsetProvider::new(target.clone());
        let columns = |plan: &LogicalPlan| -> Vec<Expr> {
            plan.schema()
                .columns()
                .into_iter()
                .map(|column| {
                    let name = column.name.clone();
                    Expr::Column(column).alias(name)
                })
                .collect()
        };
        let kept = match self.predicate() {
            Some(predicate) => {
                let input = over(self.input(), &self.table.name, subset())?;
                let kept =
                    LogicalPlanBuilder::from(input).filter(Expr::IsNotTrue(Box::new(predicate.clone())))?.build()?;
                let projected = columns(&kept);
                Some(LogicalPlanBuilder::from(kept).project(projected)?.build()?)
            }
            None => None,
        };
        let changed = match &self.assignments {
            Some(assignments) => {
                let input = over(self.input(), &self.table.name, subset())?;
                let mut rows = LogicalPlanBuilder::from(input);
                if let Some(predicate) = self.predicate() {
                    rows = rows.filter(is_true(predicate.clone()))?;
                }
                let schema = &target.schema;
                let values = assignments
                    .iter()
                    .zip(schema.fields())
                    .map(|(value, field)| cast(value.clone().unalias(), field.data_type().clone()).alias(field.name()))
                    .collect::<Vec<_>>();
                Some(rows.project(values)?.build()?)
            }
            None => None,
        };
        let mut plan = match (kept, changed) {
            (Some(kept), Some(changed)) => LogicalPlanBuilder::from(kept).union(changed)?,
            (Some(rows), None) | (None, Some(rows)) => LogicalPlanBuilder::from(rows),
            (None, None) => LogicalPlanBuilder::empty(false),
        };
        if !sort_key.is_empty() {
            plan = plan.sort(sort_key.iter().map(|name| col(format!("\"{name}\"")).sort(true, false)))?;
        }
        let plan = state.create_physical_plan(&plan.build()?).await?;
        execute_stream(plan, Arc::clone(context))
    }
}

/// `plan` with the scan of `table` replaced by a scan of `subset`.
fn over(plan: &LogicalPlan, table: &str, subset: SubsetProvider) -> PlanResult<LogicalPlan> {
    let source = provider_as_source(Arc::new(subset));
    plan.clone()
        .transform_up(|node| match node {
            LogicalPlan::TableScan(scan) if is_target(&scan, table) => {
                let scan = TableScanBuilder::new(scan.table_name, Arc::clone(&source))
                    .with_filters(scan.filters)
                    .with_fetch(scan.fetch)
                    .build()?;
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        })?
        .data
        .recompute_schema()
}

fn is_target(scan: &TableScan, table: &str) -> bool {
    source_as_provider(&scan.source)
        .is_ok_and(|provider| provider.downcast_ref::<DeltaTableProvider>().is_some_and(|p| p.table_name() == table))
}

/// Deletes the rows of `name` for which the SQL condition `predicate` is true, within `transaction`.
pub(super) async fn delete_where(
    transaction: &Arc<Transaction>,
    name: &str,
    predicate: &str,
    state: &SessionState,
) -> Result<u64> {
    let provider = transaction.table(name).ok_or_else(|| super::transaction::undefined(name))?;
    let (table, snapshot) = transaction.entry(name)?;
    let target = transaction.target(&table, &snapshot);
    let plan = || {
        let schema = datafusion::common::DFSchema::try_from_qualified_schema(name, &provider.schema())?;
        let predicate = state.create_logical_expr(predicate, &schema)?;
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::clone(&provider)), None)?.filter(predicate)?.build()
    };
    let rows = plan().map_err(Error::from)?;
    let change = Change { table, rows, assignments: None };
    change.run(transaction, target, state, state.task_ctx()).await.map_err(Error::from)
}

//! The operator that asks indexes which rows of a table are wanted, and reads those.
//!
//! It asks when it runs, not when it is planned: `EXPLAIN` is cheap, and a plan that is used again asks anew. The rows that it
//! gives are a superset of what was asked for, in no order: filters, sort and limit stay above it, and rank exactly.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
    execute_stream,
};
use futures::TryStreamExt;

use super::find::{self, Asked};
use super::rows::RowsOfFiles;
use crate::storage::scan::ScanTarget;

/// Reads the rows of a table that indexes name.
pub(crate) struct IndexScanExec {
    target: ScanTarget,
    state: Arc<SessionState>,
    projection: Option<Vec<usize>>,
    /// All filters but the questions.
    filters: Vec<Expr>,
    asked: Asked,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for IndexScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexScanExec").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl IndexScanExec {
    pub(crate) fn new(
        target: ScanTarget,
        state: Arc<SessionState>,
        projection: Option<&[usize]>,
        filters: Vec<Expr>,
        asked: Asked,
    ) -> Result<Self> {
        let schema = match projection {
            Some(columns) => Arc::new(target.schema().project(columns)?),
            None => target.schema(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let projection = projection.map(<[usize]>::to_vec);
        Ok(Self { target, state, projection, filters, asked, properties: Arc::new(properties) })
    }

    fn output(&self) -> SchemaRef {
        Arc::clone(self.properties.equivalence_properties().schema())
    }
}

/// Plans the scan of the rows that were found, or of all.
fn scan(
    target: &ScanTarget,
    state: &SessionState,
    projection: Option<&[usize]>,
    filters: &[Expr],
    rows: Option<RowsOfFiles>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut target = target.clone();
    target.rows = rows.map(Arc::new);
    let plan = target.plan(state, projection, filters, None)?;
    let is_one = plan.properties().output_partitioning().partition_count() == 1;
    Ok(if is_one { plan } else { Arc::new(CoalescePartitionsExec::new(plan)) })
}

impl DisplayAs for IndexScanExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexScanExec: {}", self.asked)?;
        let filters: Vec<String> = self.filters.iter().map(ToString::to_string).collect();
        if filters.is_empty() { Ok(()) } else { write!(f, ", filters=[{}]", filters.join(", ")) }
    }
}

impl ExecutionPlan for IndexScanExec {
    fn name(&self) -> &str {
        "IndexScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (target, state, asked) = (self.target.clone(), Arc::clone(&self.state), self.asked.clone());
        let (projection, filters) = (self.projection.clone(), self.filters.clone());
        let start = async move {
            let rows = find::find(&target, &state, &asked, &filters).await?;
            execute_stream(scan(&target, &state, projection.as_deref(), &filters, rows)?, context)
        };
        let stream = futures::stream::once(start).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.output(), stream)))
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.output())))
    }
}

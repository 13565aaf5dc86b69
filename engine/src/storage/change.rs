//! A plan node that carries out a change and answers how many rows it touched.

use std::fmt;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future::BoxFuture;

use crate::{Error, ErrorKind};

type Run =
    dyn Fn(Vec<SendableRecordBatchStream>, Arc<TaskContext>) -> BoxFuture<'static, PlanResult<u64>> + Send + Sync;

/// Runs a change over its inputs' rows and yields one row, `count`.
///
/// It holds its work as a closure: changes run where the transaction is, never on another node.
#[derive(Clone)]
pub(crate) struct ChangeExec {
    label: String,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    run: Arc<Run>,
    properties: Arc<PlanProperties>,
}

impl ChangeExec {
    pub(crate) fn new(
        label: String,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        run: impl Fn(Vec<SendableRecordBatchStream>, Arc<TaskContext>) -> BoxFuture<'static, PlanResult<u64>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { label, inputs, run: Arc::new(run), properties: Arc::new(properties) }
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

impl fmt::Debug for ChangeExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl DisplayAs for ChangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl ExecutionPlan for ChangeExec {
    fn name(&self) -> &'static str {
        "ChangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { inputs: children, ..self.as_ref().clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(Error::new(ErrorKind::Internal, format!("{} has no partition {partition}", self.label)).into());
        }
        let inputs =
            self.inputs.iter().map(|input| input.execute(0, Arc::clone(&context))).collect::<PlanResult<Vec<_>>>()?;
        let run = Arc::clone(&self.run);
        let schema = count_schema();
        let rows = Arc::clone(&schema);
        let once = futures::stream::once(async move {
            let count = run(inputs, context).await?;
            Ok(RecordBatch::try_new(rows, vec![Arc::new(UInt64Array::from(vec![count]))])?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, once)))
    }
}

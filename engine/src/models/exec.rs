//! The operator that asks models.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, EmissionType, ReplaceChildrenOptions, apply_expression_roots,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use datafusion::prelude::SessionConfig;

use super::batcher::Batcher;
use super::registry::{ModelUser, Models};
use super::service::{ModelLimits, ModelService};
use super::stream::answered;
use crate::{Error, ErrorKind};

/// A call over physical expressions; see [`super::node::ModelCall`].
#[derive(Debug, Clone)]
pub(super) struct PhysicalCall {
    pub function: Arc<str>,
    pub arguments: Vec<Arc<dyn PhysicalExpr>>,
    pub types: Vec<DataType>,
    pub required: Vec<bool>,
    pub guard: Option<Arc<dyn PhysicalExpr>>,
    pub result: DataType,
    pub is_repeatable: bool,
    pub column: String,
}

impl PhysicalCall {
    /// An error of the service, which may not say what was asked of it.
    pub(super) fn failed(&self, error: Error) -> Error {
        error.about_function(&self.function)
    }
}

impl fmt::Display for PhysicalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        write!(f, "{}({}) AS {}", self.function, arguments.join(", "), self.column)?;
        match &self.guard {
            Some(guard) => write!(f, " WHERE {guard}"),
            None => Ok(()),
        }
    }
}

/// The least of what the services of `calls` take at a time.
pub(super) fn limits(calls: &[PhysicalCall], config: &SessionConfig) -> Result<ModelLimits> {
    let mut limits = calls.iter().map(|call| Ok(service(call, config)?.limits())).collect::<Result<Vec<_>>>()?;
    let last = limits.pop().unwrap_or_default();
    Ok(limits.into_iter().fold(last, |least, limits| ModelLimits {
        request_tokens: least.request_tokens.min(limits.request_tokens),
        in_flight: least.in_flight.min(limits.in_flight),
    }))
}

/// Who answers `call`.
pub(super) fn service(call: &PhysicalCall, config: &SessionConfig) -> Result<Arc<dyn ModelService>> {
    let models = config
        .get_extension::<Models>()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "this plan runs where no models are known"))?;
    Ok(models.service(&call.function)?)
}

/// Adds columns of answers to the rows of its input, in their order.
#[derive(Debug, Clone)]
pub(crate) struct ModelCallExec {
    input: Arc<dyn ExecutionPlan>,
    calls: Vec<PhysicalCall>,
    limits: ModelLimits,
    /// Rows after which nobody reads on.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What `EXPLAIN ANALYZE` tells.
#[derive(Debug, Clone)]
pub(super) struct CallMetrics {
    pub requests: Count,
    pub rows_sent: Count,
    pub rows_deduplicated: Count,
    pub rows_skipped: Count,
    pub output_rows: Count,
}

impl ModelCallExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, calls: Vec<PhysicalCall>, limits: ModelLimits) -> Self {
        let properties = Arc::new(properties(&input, &calls));
        Self { input, calls, limits, fetch: None, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn metrics_of(&self, partition: usize) -> CallMetrics {
        let counter = |name| MetricBuilder::new(&self.metrics).counter(name, partition);
        CallMetrics {
            requests: counter("requests"),
            rows_sent: counter("rows_sent"),
            rows_deduplicated: counter("rows_deduplicated"),
            rows_skipped: counter("rows_skipped"),
            output_rows: MetricBuilder::new(&self.metrics).output_rows(partition),
        }
    }
}

fn output_schema(input: &SchemaRef, calls: &[PhysicalCall]) -> SchemaRef {
    let answers = calls.iter().map(|call| Arc::new(Field::new(&call.column, call.result.clone(), true)));
    let fields: Vec<_> = input.fields().iter().cloned().chain(answers).collect();
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

fn properties(input: &Arc<dyn ExecutionPlan>, calls: &[PhysicalCall]) -> PlanProperties {
    let schema = output_schema(&input.schema(), calls);
    let mut equivalences = EquivalenceProperties::new(schema);
    // The input's columns come first, so its orderings are ours as they are.
    equivalences.add_orderings(input.equivalence_properties().oeq_class().iter().cloned());
    PlanProperties::new(
        equivalences,
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        input.boundedness(),
    )
}

impl DisplayAs for ModelCallExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<String> = self.calls.iter().map(ToString::to_string).collect();
        write!(f, "ModelCall: {}, budget={}", calls.join(", "), self.limits.request_tokens)?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ModelCallExec {
    fn name(&self) -> &'static str {
        "ModelCallExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// One stream: the model is the bottleneck, and what is known of one row serves all others.
    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.calls.iter().flat_map(|call| call.arguments.iter().chain(&call.guard)), f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| super::lost("its input"))?;
        let replaced = Self { fetch: self.fetch, ..Self::new(input, self.calls.clone(), self.limits) };
        Ok(Arc::new(replaced))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(super::lost("its place: it has one partition").into());
        }
        let config = context.session_config();
        let user = config.get_extension::<ModelUser>().map_or_else(|| Arc::from(""), |user| Arc::clone(&user.0));
        let services = self.calls.iter().map(|call| service(call, config)).collect::<Result<Vec<_>>>()?;
        let input = self.input.execute(0, Arc::clone(&context))?;
        let metrics = self.metrics_of(partition);
        let memory = MemoryConsumer::new("ModelCall").register(context.memory_pool());
        let batcher = Batcher::new(input, self.calls.clone(), services, user, self.limits, self.fetch, metrics)?;
        let schema = self.schema();
        let rows = answered(batcher, Arc::clone(&schema), self.limits.in_flight, memory);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

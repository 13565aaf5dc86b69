//! From the plan node to the operator.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::exec::{ModelCallExec, PhysicalCall};
use super::node::{ModelCall, ModelCallNode};

/// DataFusion's planner, which can ask models.
#[derive(Debug)]
pub(crate) struct ModelQueryPlanner;

#[async_trait]
impl QueryPlanner for ModelQueryPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(ModelCallPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

struct ModelCallPlanner;

#[async_trait]
impl ExtensionPlanner for ModelCallPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<ModelCallNode>() else { return Ok(None) };
        let ([logical], [input]) = (logical_inputs, physical_inputs) else {
            return Err(super::lost("its input").into());
        };
        let expression = |expr: &_| planner.create_physical_expr(expr, logical.schema(), session, context);
        let plan_call = |call: &ModelCall| -> Result<PhysicalCall> {
            Ok(PhysicalCall {
                function: Arc::clone(&call.function),
                arguments: call.arguments.iter().map(expression).collect::<Result<Vec<Arc<dyn PhysicalExpr>>>>()?,
                types: call.types.clone(),
                required: call.required.clone(),
                guard: call.guard.as_ref().map(expression).transpose()?,
                result: call.result.clone(),
                is_repeatable: call.is_repeatable,
                column: call.column.clone(),
            })
        };
        let calls = node.calls().iter().map(plan_call).collect::<Result<Vec<_>>>()?;
        let limits = super::exec::limits(&calls, session.config())?;
        Ok(Some(Arc::new(ModelCallExec::new(Arc::clone(input), calls, limits))))
    }
}

//! Operators above a model call that would read more of it than they hand on.
//!
//! Dealing rows out to several threads reads ahead, and a filter collects thousands of rows before it lets the first
//! go. Above a model call both cost more than they save: `LIMIT 5` would pay for all of it.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::exec::ModelCallExec;

/// Rows that a filter above a model call collects.
const COLLECTED: usize = 8;

/// Lets the reader's demand through to model calls.
#[derive(Debug)]
pub(crate) struct OnDemand;

impl PhysicalOptimizerRule for OnDemand {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(filter) = node.downcast_ref::<FilterExec>()
                && is_asking(filter.input())
            {
                let eager: Arc<dyn ExecutionPlan> = Arc::new(filter.with_batch_size(COLLECTED)?);
                return Ok(Transformed::yes(eager));
            }
            if let Some(deal) = node.downcast_ref::<RepartitionExec>()
                && matches!(deal.partitioning(), Partitioning::RoundRobinBatch(_))
                && is_asking(deal.input())
            {
                return Ok(Transformed::yes(Arc::clone(deal.input())));
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &str {
        "model_calls_on_demand"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether rows of `plan` come from a model call, with nothing between that reads all of it first.
fn is_asking(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<ModelCallExec>() {
        return true;
    }
    plan.pipeline_behavior() != EmissionType::Final && plan.children().into_iter().any(is_asking)
}

//! Calls in the conditions of a join. One about rows of one side is asked below that side; one about both is asked
//! about the pairs, which only an inner join leaves to ask about.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Filter, Join};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

use super::hoist::{Hoist, Hoisted, is_of};
use super::lift::{Known, Lifter};
use super::marker::{Marker, holds_call};
use crate::{Error, ErrorKind};

pub(super) fn join(hoist: &Hoist<'_>, join: Join) -> Result<Hoisted> {
    let left = hoist.node(Arc::unwrap_or_clone(join.left))?;
    let right = hoist.node(Arc::unwrap_or_clone(join.right))?;
    let (left_schema, right_schema) = (Arc::clone(left.plan.schema()), Arc::clone(right.plan.schema()));
    let mut left_calls = Lifter::new(hoist.names, left.known);
    let mut right_calls = Lifter::new(hoist.names, right.known);
    let mut on = Vec::with_capacity(join.on.len());
    for (of_left, of_right) in join.on {
        on.push((left_calls.lift(of_left, None)?, right_calls.lift(of_right, None)?));
    }
    let (mut within, mut above) = (Vec::new(), Vec::new());
    for condition in join.filter.map(split_conjunction_owned).unwrap_or_default() {
        let condition = condition.transform_down(|node| {
            let Expr::ScalarFunction(call) = &node else { return Ok(Transformed::no(node)) };
            if Marker::of(call).is_none() {
                return Ok(Transformed::no(node));
            }
            let lifter = match (is_of(&node, &left_schema), is_of(&node, &right_schema)) {
                (true, _) => &mut left_calls,
                (false, true) => &mut right_calls,
                (false, false) => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::new(lifter.lift(node, None)?, true, TreeNodeRecursion::Jump))
        })?;
        if holds_call(&condition.data) { above.push(condition.data) } else { within.push(condition.data) }
    }
    if !above.is_empty() && join.join_type != JoinType::Inner {
        let message = "a model cannot be asked about both sides of an outer join in its ON";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("ask in a subquery that joins the two sides, or in WHERE")
            .into());
    }
    let (left, left_known) = left_calls.finish(left.plan)?;
    let (right, right_known) = right_calls.finish(right.plan)?;
    let known = kept(join.join_type, left_known, right_known);
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        within.into_iter().reduce(Expr::and),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    match above.into_iter().reduce(Expr::and) {
        Some(condition) => {
            let mut lifter = Lifter::new(hoist.names, known);
            let condition = lifter.lift(condition, None)?;
            let (plan, known) = lifter.finish(LogicalPlan::Join(joined))?;
            Ok(Hoisted { plan: LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?), known })
        }
        None => Ok(Hoisted { plan: LogicalPlan::Join(joined), known }),
    }
}

/// Answers that are still those of their rows after the join. Where rows are padded with nulls they are not.
fn kept(join_type: JoinType, left: Vec<Known>, right: Vec<Known>) -> Vec<Known> {
    match join_type {
        JoinType::Inner => left.into_iter().chain(right).collect(),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
        JoinType::Full => Vec::new(),
    }
}

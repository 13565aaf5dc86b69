//! Brings conditions that ask models back above joins.
//!
//! The optimiser moves a condition on one side of a join below it, whatever it costs. One that asks a model is better
//! asked about the rows that joined: equal questions are asked once, so a join never makes more of them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Filter, Join, SubqueryAlias};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

use super::hoist::project;
use super::marker::holds_call;

/// `join` without the asking conditions on the sides whose rows it does not pad, and those conditions.
pub(super) fn from_join(mut join: Join) -> Result<(LogicalPlan, Vec<Expr>)> {
    let (left, right) = match join.join_type {
        JoinType::Inner => (true, true),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        JoinType::Full => (false, false),
    };
    let mut raised = Vec::new();
    for (side, is_kept) in [(&mut join.left, left), (&mut join.right, right)] {
        if is_kept {
            let (below, conditions) = raise(side.as_ref().clone())?;
            *side = Arc::new(below);
            raised.extend(conditions);
        }
    }
    if raised.is_empty() {
        return Ok((LogicalPlan::Join(join), raised));
    }
    let join = Join::try_new(
        join.left,
        join.right,
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok((LogicalPlan::Join(join), raised))
}

fn raise(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<Expr>)> {
    match plan {
        LogicalPlan::Filter(filter) => from_filter(filter),
        LogicalPlan::Join(join) => from_join(join),
        LogicalPlan::SubqueryAlias(alias) => {
            let (below, conditions) = raise(alias.input.as_ref().clone())?;
            let inner = Arc::clone(below.schema());
            let alias = SubqueryAlias::try_new(Arc::new(below), alias.alias)?;
            let (conditions, stuck) = renamed(conditions, |column| position(column, &inner, &alias.schema))?;
            if !stuck.is_empty() {
                return Err(super::lost("a column").into());
            }
            Ok((LogicalPlan::SubqueryAlias(alias), conditions))
        }
        LogicalPlan::Projection(projection) => {
            let (below, conditions) = raise(projection.input.as_ref().clone())?;
            let exprs = with_columns(projection.expr, &conditions);
            let (conditions, stuck) = renamed(conditions, |column| super::carry::renamed(column, &exprs))?;
            Ok((project(exprs, filtered(below, stuck)?)?, conditions))
        }
        other => Ok((other, Vec::new())),
    }
}

/// `exprs` and the columns of `conditions`, which the optimiser left out above the conditions. A column is not added
/// where its name could mean two things.
fn with_columns(mut exprs: Vec<Expr>, conditions: &[Expr]) -> Vec<Expr> {
    for column in conditions.iter().flat_map(Expr::column_refs) {
        let is_there = super::carry::renamed(column, &exprs).is_some();
        let is_taken = exprs.iter().any(|expr| expr.qualified_name().1 == column.name);
        if column.relation.is_some() && !is_there && !is_taken {
            exprs.push(Expr::Column(column.clone()));
        }
    }
    exprs
}

fn from_filter(filter: Filter) -> Result<(LogicalPlan, Vec<Expr>)> {
    let (below, mut raised) = raise(filter.input.as_ref().clone())?;
    let (asking, plain): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(filter.predicate).into_iter().partition(holds_call);
    raised.extend(asking);
    Ok((filtered(below, plain)?, raised))
}

fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match conditions.into_iter().reduce(Expr::and) {
        Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?)),
        None => Ok(plan),
    }
}

/// The column in the same place of another schema.
fn position(column: &Column, from: &DFSchema, to: &DFSchema) -> Option<Column> {
    from.maybe_index_of_column(column).and_then(|index| to.columns().get(index).cloned())
}

/// `conditions` over the columns that `moved` tells, and those with a column that it does not know.
fn renamed(conditions: Vec<Expr>, moved: impl Fn(&Column) -> Option<Column>) -> Result<(Vec<Expr>, Vec<Expr>)> {
    let (movable, stuck): (Vec<Expr>, Vec<Expr>) = conditions
        .into_iter()
        .partition(|condition| condition.column_refs().into_iter().all(|column| moved(column).is_some()));
    let rename = |condition: Expr| {
        let renamed = condition.transform(|node| match &node {
            Expr::Column(column) => {
                Ok(moved(column).map_or(Transformed::no(node.clone()), |column| Transformed::yes(Expr::Column(column))))
            }
            _ => Ok(Transformed::no(node)),
        })?;
        Ok(renamed.data)
    };
    Ok((movable.into_iter().map(rename).collect::<Result<Vec<_>>>()?, stuck))
}

//! Vectors that a model makes of constants, asked for before a statement is planned.
//!
//! `ORDER BY embedding <=> embed('cats')` compares a column with a constant, but only the model knows which. An index needs
//! the vector, so it is asked for first, once; then the statement is one like any other. Only calls beside a distance, and those
//! that a condition compares with a column, are asked for: elsewhere a guard may keep a call from being made.

use std::any::Any;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use datafusion::physical_plan::collect;

use super::distances::Distance;
use super::text_functions::{MATCH, parse};
use crate::models::holds_call;

/// `plan` with the answers in the place of calls beside a distance whose arguments are constants.
///
/// # Errors
/// If a constant query is malformed, or the model fails.
pub(crate) async fn fold(plan: &LogicalPlan, state: &SessionState) -> Result<Option<LogicalPlan>> {
    check_queries(plan)?;
    let calls = constant_calls(plan)?;
    if calls.is_empty() {
        return Ok(None);
    }
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        let answer = ask(&call, state).await?;
        answers.push((call, answer));
    }
    let folded = plan.clone().transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|part| match answers.iter().find(|(call, _)| *call == part) {
                Some((_, answer)) => Ok(Transformed::yes(lit(answer.clone()))),
                None => Ok(Transformed::no(part)),
            })
        })
    })?;
    Ok(Some(folded.data))
}

/// Reads every query that is a constant, so that a malformed one is told before anything runs.
fn check_queries(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(ScalarFunction { func, args }) = part
                    && matches!(func.name(), MATCH | "bm25" | "snippet")
                    && let Some(Expr::Literal(query, _)) = args.get(1)
                    && let Some(query) = query.try_as_str().flatten()
                {
                    parse(query)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Calls of models that depend on no column, beside distances, and in a `WHERE` beside an equals sign: no guard is around those.
fn constant_calls(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut calls: Vec<Expr> = Vec::new();
    let mut consider = |expr: &Expr| -> Result<()> {
        let is_constant = expr.column_refs().is_empty() && !expr.contains_outer();
        if is_constant && holds_call(expr) && !has_parameter(expr)? && !calls.contains(expr) {
            calls.push(expr.clone());
        }
        Ok(())
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            for part in split_conjunction(&filter.predicate) {
                if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part {
                    consider(left)?;
                    consider(right)?;
                }
            }
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                distance_arguments(part).iter().try_for_each(&mut consider)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(calls)
}

fn distance_arguments(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let function: &dyn Any = func.inner().as_ref();
            if function.is::<Distance>() { args } else { &[] }
        }
        _ => &[],
    }
}

fn has_parameter(expr: &Expr) -> Result<bool> {
    expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_) | Expr::ScalarSubquery(_))))
}

async fn ask(call: &Expr, state: &SessionState) -> Result<ScalarValue> {
    let plan = LogicalPlanBuilder::empty(true).project([call.clone().alias("answer")])?.build()?;
    let physical = state.create_physical_plan(&plan).await?;
    let batches = collect(physical, state.task_ctx()).await?;
    let found = batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| batch.columns().first());
    match found {
        Some(column) => ScalarValue::try_from_array(column, 0),
        None => Ok(ScalarValue::Null),
    }
}

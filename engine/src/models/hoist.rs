//! The rule that takes model calls out of every node of a plan.
//!
//! It runs last, when filters and columns are where they belong: what is left around a call then is what has to be
//! asked. Columns of answers stay in the rows as they go up, so that a call in `SELECT` finds the answer that `WHERE`
//! asked for; a node whose columns go by position gets exactly the ones it had.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::alias::AliasGenerator;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Projection, Sort, Union, Unnest, Values, Window};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::carry;
use super::hoist_join;
use super::lift::{Known, Lifter};
use super::marker::holds_call;
use super::raise;
use crate::{Error, ErrorKind};

/// Puts every model call of a plan into a node below the one that it stands in.
#[derive(Debug)]
pub(crate) struct HoistModelCalls;

impl OptimizerRule for HoistModelCalls {
    fn name(&self) -> &str {
        "hoist_model_calls"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !is_asking(&plan)? {
            return Ok(Transformed::no(plan));
        }
        Ok(Transformed::yes(Hoist { names: config.alias_generator() }.whole(plan)?))
    }
}

/// Whether a call stands anywhere in `plan`.
fn is_asking(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = own_calls(node)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether a call stands in the node's own expressions. Those of a `MERGE` are for its table to plan.
fn own_calls(node: &LogicalPlan) -> Result<bool> {
    if matches!(node, LogicalPlan::Dml(_)) {
        return Ok(false);
    }
    let mut found = false;
    node.apply_expressions(|expr| {
        found = holds_call(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// A plan without calls, and the calls whose answers are among its columns.
pub(super) struct Hoisted {
    pub plan: LogicalPlan,
    pub known: Vec<Known>,
}

pub(super) struct Hoist<'a> {
    pub names: &'a AliasGenerator,
}

impl Hoist<'_> {
    /// `plan` without calls and with the same columns as before.
    pub(super) fn whole(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let columns = plan.schema().columns();
        let hoisted = self.node(plan)?.plan;
        if hoisted.schema().columns() == columns {
            return Ok(hoisted);
        }
        project(columns.into_iter().map(Expr::Column).collect(), hoisted)
    }

    pub(super) fn node(&self, plan: LogicalPlan) -> Result<Hoisted> {
        if !is_asking(&plan)? {
            let known = match &plan {
                LogicalPlan::Projection(projection) => carry::definitions(&projection.expr),
                _ => Vec::new(),
            };
            return Ok(Hoisted { plan, known });
        }
        let plan = plan.map_subqueries(|subquery| Ok(Transformed::yes(self.whole(subquery)?)))?.data;
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(mut limit) => {
                let Hoisted { plan, known } = self.node(Arc::unwrap_or_clone(limit.input))?;
                limit.input = Arc::new(plan);
                Ok(Hoisted { plan: LogicalPlan::Limit(limit), known })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => match raise::from_join(join)? {
                (LogicalPlan::Join(join), raised) if raised.is_empty() => hoist_join::join(self, join),
                (join, raised) => match raised.into_iter().reduce(Expr::and) {
                    Some(condition) => self.filter(Filter::try_new(condition, Arc::new(join))?),
                    None => self.node(join),
                },
            },
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Values(values) => self.values(&values),
            other => self.other(other),
        }
    }

    /// Any node whose columns go by position, or whose expressions take no calls.
    fn other(&self, plan: LogicalPlan) -> Result<Hoisted> {
        if own_calls(&plan)? {
            let place = plan.display().to_string();
            return Err(Error::new(ErrorKind::Unsupported, "a model cannot be asked here")
                .with_hint("call it in a subquery and use the result")
                .with_detail(place)
                .into());
        }
        let plan = plan.map_children(|child| Ok(Transformed::yes(self.whole(child)?)))?.data;
        Ok(Hoisted { plan, known: Vec::new() })
    }

    /// A lifter over the node's input.
    fn over(&self, input: Arc<LogicalPlan>) -> Result<(LogicalPlan, Lifter<'_>)> {
        let Hoisted { plan, known } = self.node(Arc::unwrap_or_clone(input))?;
        Ok((plan, Lifter::new(self.names, known)))
    }

    fn projection(&self, projection: Projection) -> Result<Hoisted> {
        let Projection { expr, input, .. } = projection;
        let (input, mut lifter) = self.over(input)?;
        let mut exprs = lift_named(&mut lifter, &NamePreserver::new_for_projection(), expr)?;
        let (input, known) = lifter.finish(input)?;
        let mut carried = carry::through(known, &exprs);
        for known in &carried {
            let is_there = exprs.iter().any(|expr| matches!(expr, Expr::Column(column) if *column == known.column));
            if !is_there {
                exprs.push(Expr::Column(known.column.clone()));
            }
        }
        carried.extend(carry::definitions(&exprs));
        Ok(Hoisted { plan: project(exprs, input)?, known: carried })
    }

    /// Conditions without calls come first, then the others as they are written: each asks about the rows that the
    /// ones before it left.
    fn filter(&self, filter: Filter) -> Result<Hoisted> {
        let Filter { predicate, input, .. } = filter;
        let Hoisted { mut plan, mut known } = self.node(Arc::unwrap_or_clone(input))?;
        let (asking, plain): (Vec<Expr>, Vec<Expr>) =
            split_conjunction_owned(predicate).into_iter().partition(holds_call);
        if let Some(plain) = plain.into_iter().reduce(Expr::and) {
            plan = LogicalPlan::Filter(Filter::try_new(plain, Arc::new(plan))?);
        }
        for condition in asking {
            let mut lifter = Lifter::new(self.names, known);
            let condition = lifter.lift(condition, None)?;
            let (input, after) = lifter.finish(plan)?;
            known = after;
            plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input))?);
        }
        Ok(Hoisted { plan, known })
    }

    fn sort(&self, mut sort: Sort) -> Result<Hoisted> {
        let (input, mut lifter) = self.over(sort.input)?;
        for key in &mut sort.expr {
            key.expr = lifter.lift(key.expr.clone(), None)?;
        }
        let (input, known) = lifter.finish(input)?;
        sort.input = Arc::new(input);
        Ok(Hoisted { plan: LogicalPlan::Sort(sort), known })
    }

    fn aggregate(&self, aggregate: Aggregate) -> Result<Hoisted> {
        let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
        let names = NamePreserver::new_for_projection();
        let (input, mut lifter) = self.over(input)?;
        let group_expr = match group_expr.into_iter().next_if_grouping_set() {
            Ok(set) => vec![lift_grouping_set(&mut lifter, &names, set)?],
            Err(exprs) => lift_named(&mut lifter, &names, exprs)?,
        };
        let aggr_expr = lift_named(&mut lifter, &names, aggr_expr)?;
        let (input, _) = lifter.finish(input)?;
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?);
        Ok(Hoisted { plan, known: Vec::new() })
    }

    fn window(&self, window: Window) -> Result<Hoisted> {
        let Window { input, window_expr, .. } = window;
        let (input, mut lifter) = self.over(input)?;
        let window_expr = lift_named(&mut lifter, &NamePreserver::new_for_projection(), window_expr)?;
        let (input, known) = lifter.finish(input)?;
        Ok(Hoisted { plan: LogicalPlan::Window(Window::try_new(window_expr, Arc::new(input))?), known })
    }

    fn unnest(&self, unnest: Unnest) -> Result<Hoisted> {
        let Hoisted { plan, known } = self.node(Arc::unwrap_or_clone(unnest.input))?;
        let unnested = unnest.exec_columns.clone();
        let known = known
            .into_iter()
            .filter(|known| {
                let columns = known.call.column_refs();
                !unnested.iter().any(|column| *column == known.column || columns.contains(column))
            })
            .collect();
        let unnest = Unnest::try_new(Arc::new(plan), unnest.exec_columns, unnest.options)?;
        Ok(Hoisted { plan: LogicalPlan::Unnest(unnest), known })
    }

    /// Rows of constants, each a plan of its own now.
    fn values(&self, values: &Values) -> Result<Hoisted> {
        let rows = values.values.iter().map(|row| {
            let cells = row.iter().zip(values.schema.fields()).map(|(cell, field)| cell.clone().alias(field.name()));
            let row = LogicalPlanBuilder::empty(true).project(cells)?.build()?;
            Ok(Arc::new(self.whole(row)?))
        });
        let mut rows = rows.collect::<Result<Vec<_>>>()?;
        let plan = match rows.len() {
            1 => rows.pop().map(Arc::unwrap_or_clone).ok_or_else(|| super::lost("its row"))?,
            _ => LogicalPlan::Union(Union::try_new(rows)?),
        };
        Ok(Hoisted { plan, known: Vec::new() })
    }
}

/// Tells a grouping set, which stands alone, from plain keys.
trait GroupKeys {
    fn next_if_grouping_set(self) -> std::result::Result<GroupingSet, Vec<Expr>>;
}

impl GroupKeys for std::vec::IntoIter<Expr> {
    fn next_if_grouping_set(self) -> std::result::Result<GroupingSet, Vec<Expr>> {
        let mut exprs: Vec<Expr> = self.collect();
        match exprs.pop() {
            Some(Expr::GroupingSet(set)) if exprs.is_empty() => Ok(set),
            last => {
                exprs.extend(last);
                Err(exprs)
            }
        }
    }
}

pub(super) fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Lifts calls out of expressions that name columns, which keep their names.
fn lift_named(lifter: &mut Lifter<'_>, names: &NamePreserver, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
    let lift = |expr: Expr| {
        if !holds_call(&expr) {
            return Ok(expr);
        }
        let name = names.save(&expr);
        Ok(name.restore(lifter.lift(expr, None)?))
    };
    exprs.into_iter().map(lift).collect()
}

fn lift_grouping_set(lifter: &mut Lifter<'_>, names: &NamePreserver, set: GroupingSet) -> Result<Expr> {
    let mut lift = |exprs| lift_named(lifter, names, exprs);
    Ok(Expr::GroupingSet(match set {
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(lift(exprs)?),
        GroupingSet::Cube(exprs) => GroupingSet::Cube(lift(exprs)?),
        GroupingSet::GroupingSets(sets) => {
            GroupingSet::GroupingSets(sets.into_iter().map(lift).collect::<Result<Vec<_>>>()?)
        }
    }))
}

/// Whether `schema` has all columns of `expr`.
pub(super) fn is_of(expr: &Expr, schema: &DFSchema) -> bool {
    expr.column_refs().iter().all(|column| schema.has_column(column))
}

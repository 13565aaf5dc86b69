//! Removes the correlation between a table and the calls beside it: `t JOIN LATERAL pipeline(t)` becomes
//! the pipeline over `t`.
//!
//! It holds for pipelines that work row by row (project, filter, unnest, inner join with something
//! uncorrelated): running them over all rows of `t`, with the columns of `t` carried along, gives each
//! row of `t` joined with its own result. Other lateral subqueries are left as they are.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, NullHandling, RecursionUnnestOption, ScalarValue, UnnestOptions};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Filter, Join, Projection, Unnest};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder};

use crate::{Error, ErrorKind};

/// Flattens every lateral join in `plan` that can be flattened, subqueries included.
pub(crate) fn flatten(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan
        .transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_correlated(&join.right, join.left.schema()) => flatten_join(join),
            other => Ok(Transformed::no(other)),
        })?
        .data)
}

fn is_correlated(plan: &LogicalPlan, outer: &DFSchema) -> bool {
    plan.all_out_ref_exprs()
        .iter()
        .any(|expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if outer.has_column(column)))
}

fn flatten_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let keep_all = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if is_unconditional(&join) => true,
        JoinType::Left => return Err(unsupported("LEFT JOIN LATERAL takes only ON true")),
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let outer = Arc::clone(join.left.schema());
    let mut inliner = Inliner { outer: &outer, keep_all, names: 0 };
    let Some(inlined) = inliner.inline(&join.right, join.left.as_ref().clone())? else {
        return if keep_all {
            Err(unsupported("this subquery cannot stand in LEFT JOIN LATERAL"))
        } else {
            Ok(Transformed::no(LogicalPlan::Join(join)))
        };
    };
    let own = outer.columns().into_iter().map(Expr::Column);
    let pulled = inlined.columns.iter().zip(join.right.schema().iter()).map(|(column, (qualifier, field))| {
        Expr::Column(column.clone()).alias_qualified(qualifier.cloned(), field.name())
    });
    let mut plan = project(own.chain(pulled).collect(), inlined.plan)?;
    let equalities = join.on.into_iter().map(|(left, right)| left.eq(right));
    for condition in equalities.chain(join.filter) {
        plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?);
    }
    Ok(Transformed::yes(plan))
}

fn is_unconditional(join: &Join) -> bool {
    let is_true = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    join.on.is_empty() && join.filter.as_ref().is_none_or(is_true)
}

fn unsupported(message: &str) -> datafusion::error::DataFusionError {
    Error::new(ErrorKind::Unsupported, message)
        .with_hint("put conditions in WHERE, and aggregates in a query around the join")
        .into()
}

fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// A pipeline that runs over the rows of a carrier plan.
struct Inlined {
    /// The carrier's columns first, as they were; what the pipeline added, after them.
    plan: LogicalPlan,
    /// Where each column of the original pipeline now is.
    columns: Vec<Column>,
}

struct Inliner<'a> {
    /// Columns of the outer table, which the pipeline refers to.
    outer: &'a DFSchema,
    /// Whether rows of the outer table without a match are kept (left join).
    keep_all: bool,
    names: usize,
}

impl Inliner<'_> {
    /// Runs `plan` over the rows of `carrier`; `None` if it does not work row by row.
    fn inline(&mut self, plan: &LogicalPlan, carrier: LogicalPlan) -> Result<Option<Inlined>> {
        match plan {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {
                Ok(Some(Inlined { plan: carrier, columns: Vec::new() }))
            }
            LogicalPlan::Subquery(subquery) => self.inline(&subquery.subquery, carrier),
            LogicalPlan::SubqueryAlias(alias) => self.inline(&alias.input, carrier),
            plan if !self.keep_all && !is_correlated(plan, self.outer) => self.cross(plan, carrier).map(Some),
            LogicalPlan::Projection(projection) => self.inline_projection(projection, carrier),
            LogicalPlan::Unnest(unnest) => self.inline_unnest(unnest, carrier),
            LogicalPlan::Filter(filter) if !self.keep_all && !holds_subquery(&filter.predicate) => {
                let Some(input) = self.inline(&filter.input, carrier)? else { return Ok(None) };
                let condition = self.rebase(&filter.predicate, filter.input.schema(), &input.columns)?;
                let plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input.plan))?);
                Ok(Some(Inlined { plan, columns: input.columns }))
            }
            LogicalPlan::Join(join) if !self.keep_all && join.join_type == JoinType::Inner => {
                self.inline_join(join, carrier)
            }
            _ => Ok(None),
        }
    }

    /// Something uncorrelated beside the carrier: every row with every row.
    fn cross(&mut self, plan: &LogicalPlan, carrier: LogicalPlan) -> Result<Inlined> {
        let columns: Vec<Column> = plan.schema().fields().iter().map(|_| self.fresh()).collect();
        let renamed = plan
            .schema()
            .columns()
            .into_iter()
            .zip(&columns)
            .map(|(column, fresh)| Expr::Column(column).alias(fresh.name.as_str()))
            .collect();
        let right = project(renamed, plan.clone())?;
        Ok(Inlined { plan: LogicalPlanBuilder::from(carrier).cross_join(right)?.build()?, columns })
    }

    fn inline_projection(&mut self, projection: &Projection, carrier: LogicalPlan) -> Result<Option<Inlined>> {
        if projection.expr.iter().any(holds_subquery) {
            return Ok(None);
        }
        if self.keep_all && !projection.expr.iter().all(|expr| is_null_for_null(expr, projection.input.as_ref())) {
            return Ok(None);
        }
        let mut exprs: Vec<Expr> = carrier.schema().columns().into_iter().map(Expr::Column).collect();
        let Some(input) = self.inline(&projection.input, carrier)? else { return Ok(None) };
        let mut columns = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let fresh = self.fresh();
            let rebased = self.rebase(expr, projection.input.schema(), &input.columns)?;
            exprs.push(rebased.unalias().alias(fresh.name.as_str()));
            columns.push(fresh);
        }
        Ok(Some(Inlined { plan: project(exprs, input.plan)?, columns }))
    }

    fn inline_unnest(&mut self, unnest: &Unnest, carrier: LogicalPlan) -> Result<Option<Inlined>> {
        let carried = carrier.schema().columns();
        let first = carried.len();
        let Some(input) = self.inline(&unnest.input, carrier)? else { return Ok(None) };
        let moved = |column: &Column| -> Result<Column> {
            let index = unnest.input.schema().index_of_column(column)?;
            input.columns.get(index).cloned().ok_or_else(lost_column)
        };
        let exec_columns = unnest.exec_columns.iter().map(moved).collect::<Result<Vec<_>>>()?;
        let mut recursions = Vec::with_capacity(unnest.options.recursions.len());
        for recursion in &unnest.options.recursions {
            recursions.push(RecursionUnnestOption {
                input_column: moved(&recursion.input_column)?,
                output_column: self.fresh(),
                depth: recursion.depth,
            });
        }
        let null_handling =
            if self.keep_all { NullHandling::PreserveAndExpandEmpty } else { unnest.options.null_handling };
        let options = UnnestOptions { null_handling, recursions };
        // The input's columns in the pipeline's own order, so that the unnested ones can be found by position.
        let ordered = carried.into_iter().chain(input.columns).map(Expr::Column).collect();
        let ordered = project(ordered, input.plan)?;
        let plan = LogicalPlan::Unnest(Unnest::try_new(Arc::new(ordered), exec_columns, options)?);
        let columns = plan.schema().columns().into_iter().skip(first).collect();
        Ok(Some(Inlined { plan, columns }))
    }

    fn inline_join(&mut self, join: &Join, carrier: LogicalPlan) -> Result<Option<Inlined>> {
        let Some(left) = self.inline(&join.left, carrier)? else { return Ok(None) };
        let Some(right) = self.inline(&join.right, left.plan)? else { return Ok(None) };
        let columns: Vec<Column> = left.columns.into_iter().chain(right.columns).collect();
        let mut plan = right.plan;
        let equalities = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        for condition in equalities.chain(join.filter.clone()) {
            let condition = self.rebase(&condition, &join.schema, &columns)?;
            plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?);
        }
        Ok(Some(Inlined { plan, columns }))
    }

    /// `expr` with its columns where they are now, and outer references as plain columns.
    fn rebase(&self, expr: &Expr, schema: &DFSchema, columns: &[Column]) -> Result<Expr> {
        let rebased = expr.clone().transform(|node| match node {
            Expr::Column(column) => {
                let index = schema.index_of_column(&column)?;
                let moved = columns.get(index).cloned().ok_or_else(lost_column)?;
                Ok(Transformed::yes(Expr::Column(moved)))
            }
            Expr::OuterReferenceColumn(_, column) if self.outer.has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(rebased.data)
    }

    fn fresh(&mut self) -> Column {
        self.names += 1;
        Column::from_name(format!("__lateral_{}", self.names))
    }
}

/// Whether a row of nulls, which stands for "no match" in a left join, gives null here. Below the
/// unnest nothing has been padded yet, so anything goes there.
fn is_null_for_null(expr: &Expr, input: &LogicalPlan) -> bool {
    if matches!(input, LogicalPlan::EmptyRelation(_)) {
        return true;
    }
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_null_for_null(&alias.expr, input),
        Expr::ScalarFunction(call) if call.name() == "get_field" => {
            call.args.first().is_some_and(|base| is_null_for_null(base, input))
        }
        _ => false,
    }
}

/// A subquery inside an expression refers to the pipeline's columns by names that are about to change.
fn holds_subquery(expr: &Expr) -> bool {
    let is_subquery = |node: &Expr| {
        Ok(matches!(node, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
    };
    expr.exists(is_subquery).unwrap_or(true)
}

fn lost_column() -> datafusion::error::DataFusionError {
    Error::new(ErrorKind::Internal, "a column was lost while a lateral join was flattened").into()
}

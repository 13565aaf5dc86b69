//! Takes calls out of the expressions of one node and puts them into [`ModelCallNode`]s below it.
//!
//! A call whose arguments or guard need the answer of another call goes into a later layer; each layer is a node.
//! Equal calls share a column. Conditions around a call (`CASE`, `AND`, `OR`, `COALESCE`) become its guard, so that
//! no row is sent whose answer the expression would not look at.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::alias::AliasGenerator;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Extension, LogicalPlan, Operator};

use super::carry::written_out;
use super::guards;
use super::marker::{Marker, holds_call};
use super::node::{ModelCall, ModelCallNode};

/// An expression that has a column already: a call that was asked, or what a made-up name stands for.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The expression, the calls in it replaced by their columns.
    pub call: Expr,
    pub column: Column,
}

#[derive(Debug)]
struct Lifted {
    known: Known,
    planned: ModelCall,
    layer: usize,
}

/// Lifts calls out of expressions over one input.
#[derive(Debug)]
pub(super) struct Lifter<'a> {
    names: &'a AliasGenerator,
    /// Answered below.
    known: Vec<Known>,
    lifted: Vec<Lifted>,
}

impl<'a> Lifter<'a> {
    pub(super) fn new(names: &'a AliasGenerator, known: Vec<Known>) -> Self {
        Self { names, known, lifted: Vec::new() }
    }

    /// `input` with the calls' columns, and the calls that nodes above may use. What a guard left out is not among
    /// them.
    pub(super) fn finish(self, mut input: LogicalPlan) -> Result<(LogicalPlan, Vec<Known>)> {
        let mut known = self.known;
        let layers = self.lifted.iter().map(|call| call.layer).max().unwrap_or(0);
        let mut lifted = self.lifted;
        for layer in 1..=layers {
            let (here, later): (Vec<Lifted>, Vec<Lifted>) = lifted.into_iter().partition(|call| call.layer == layer);
            lifted = later;
            known.extend(here.iter().filter(|call| call.planned.guard.is_none()).map(|call| call.known.clone()));
            let calls = here.into_iter().map(|call| call.planned).collect();
            let node = ModelCallNode::try_new(input, calls)?;
            input = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        }
        Ok((input, known))
    }

    /// `expr` with columns in the place of calls, where it is evaluated for the rows for which `guard` is true.
    pub(super) fn lift(&mut self, expr: Expr, guard: Option<&Expr>) -> Result<Expr> {
        if !holds_call(&expr) {
            return Ok(expr);
        }
        match expr {
            Expr::ScalarFunction(call) => self.lift_function(call, guard),
            Expr::Case(case) => self.lift_case(case, guard),
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                self.lift_logic(*left, op, *right, guard)
            }
            Expr::AggregateFunction(call) if call.params.filter.is_some() => self.lift_aggregate(call, guard),
            other => Ok(other.map_children(|child| Ok(Transformed::yes(self.lift(child, guard)?)))?.data),
        }
    }

    fn lift_function(&mut self, call: ScalarFunction, guard: Option<&Expr>) -> Result<Expr> {
        let ScalarFunction { func, args } = call;
        let takes_first_value = ["coalesce", "nvl", "ifnull"].contains(&func.name());
        let mut lifted = Vec::with_capacity(args.len());
        let mut within = guard.cloned();
        for argument in args {
            let argument = self.lift(argument, within.as_ref())?;
            if takes_first_value {
                within = Some(guards::both(within, argument.clone().is_null())?);
            }
            lifted.push(argument);
        }
        let call = ScalarFunction { func, args: lifted };
        match Marker::of(&call).is_some() {
            true => Ok(Expr::Column(self.place(call, guard)?)),
            false => Ok(Expr::ScalarFunction(call)),
        }
    }

    /// The side without calls is taken to come first, whichever way it is written: the order is ours to choose.
    fn lift_logic(&mut self, left: Expr, op: Operator, right: Expr, guard: Option<&Expr>) -> Result<Expr> {
        let right_first = !holds_call(&right);
        let (first, second) = if right_first { (right, left) } else { (left, right) };
        let first = self.lift(first, guard)?;
        let undecided = match op {
            Operator::And => Expr::IsNotFalse(Box::new(first.clone())),
            _ => Expr::IsNotTrue(Box::new(first.clone())),
        };
        let second = self.lift(second, Some(&guards::both(guard.cloned(), undecided)?))?;
        let (left, right) = if right_first { (second, first) } else { (first, second) };
        Ok(Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) }))
    }

    fn lift_case(&mut self, case: Case, guard: Option<&Expr>) -> Result<Expr> {
        let base = case.expr.map(|base| self.lift(*base, guard)).transpose()?;
        let mut conditions: Vec<Expr> = Vec::new();
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        let within = |conditions: &[Expr], last_holds: bool| -> Result<Option<Expr>> {
            match guards::branch(conditions, last_holds)? {
                Some(branch) => guards::both(guard.cloned(), branch).map(Some),
                None => Ok(guard.cloned()),
            }
        };
        for (when, then) in case.when_then_expr {
            let when = self.lift(*when, within(&conditions, false)?.as_ref())?;
            conditions.push(match &base {
                Some(base) => base.clone().eq(when.clone()),
                None => when.clone(),
            });
            let then = self.lift(*then, within(&conditions, true)?.as_ref())?;
            branches.push((Box::new(when), Box::new(then)));
        }
        let otherwise = match case.else_expr {
            Some(otherwise) => Some(Box::new(self.lift(*otherwise, within(&conditions, false)?.as_ref())?)),
            None => None,
        };
        Ok(Expr::Case(Case { expr: base.map(Box::new), when_then_expr: branches, else_expr: otherwise }))
    }

    /// `sum(call) FILTER (WHERE condition)`
    fn lift_aggregate(&mut self, mut call: AggregateFunction, guard: Option<&Expr>) -> Result<Expr> {
        let filter = call.params.filter.take().map(|filter| self.lift(*filter, guard)).transpose()?;
        let within = match &filter {
            Some(filter) => Some(guards::both(guard.cloned(), filter.clone().is_true())?),
            None => guard.cloned(),
        };
        let lifted = Expr::AggregateFunction(call)
            .map_children(|child| Ok(Transformed::yes(self.lift(child, within.as_ref())?)))?
            .data;
        match lifted {
            Expr::AggregateFunction(mut call) => {
                call.params.filter = filter.map(Box::new);
                Ok(Expr::AggregateFunction(call))
            }
            other => Ok(other),
        }
    }

    /// The column of answers to `call`.
    fn place(&mut self, call: ScalarFunction, guard: Option<&Expr>) -> Result<Column> {
        let Some(marker) = Marker::of(&call) else { return Err(super::lost("its function").into()) };
        let (function, types) = (marker.function().clone(), marker.types().to_vec());
        let is_repeatable = marker.is_repeatable();
        let expr = Expr::ScalarFunction(call.clone());
        let guard_layer = guard.map_or(0, |guard| self.layer_of(guard));
        if is_repeatable && let Some(column) = self.reuse(&expr, guard, guard_layer) {
            return Ok(column);
        }
        let layer = call.args.iter().map(|argument| self.layer_of(argument)).max().unwrap_or(0).max(guard_layer) + 1;
        let column = Column::from_name(self.names.next("__model"));
        let planned = ModelCall {
            function: Arc::from(function.name),
            arguments: call.args,
            types,
            required: function.parameters.iter().map(|parameter| parameter.default.is_none()).collect(),
            guard: guard.cloned(),
            result: function.result,
            is_repeatable,
            column: column.name.clone(),
        };
        self.lifted.push(Lifted { known: Known { call: expr, column: column.clone() }, planned, layer });
        Ok(column)
    }

    /// The column of an equal call, whose guard is widened if it has one. A guard that needs answers which come no
    /// earlier than that call is left alone: the call is asked twice then.
    fn reuse(&mut self, call: &Expr, guard: Option<&Expr>, guard_layer: usize) -> Option<Column> {
        let wanted = written_out(call, &self.known);
        if let Some(known) = self.known.iter().find(|known| written_out(&known.call, &self.known) == wanted) {
            return Some(known.column.clone());
        }
        let equal = |lifted: &&mut Lifted| {
            lifted.known.call == *call && (lifted.planned.guard.is_none() || guard_layer < lifted.layer)
        };
        let lifted = self.lifted.iter_mut().find(equal)?;
        lifted.planned.guard = match (lifted.planned.guard.take(), guard) {
            (Some(earlier), Some(guard)) => Some(guards::either(earlier, guard.clone())),
            _ => None,
        };
        Some(lifted.known.column.clone())
    }

    /// The layer whose answers `expr` needs; 0 for none.
    fn layer_of(&self, expr: &Expr) -> usize {
        let columns = expr.column_refs();
        let needed = self.lifted.iter().filter(|lifted| columns.contains(&lifted.known.column));
        needed.map(|lifted| lifted.layer).max().unwrap_or(0)
    }
}

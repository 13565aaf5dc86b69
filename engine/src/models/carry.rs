//! Answers that are known below a projection, in the terms of what is above it.
//!
//! The optimiser gives a name to an expression that occurs twice, arguments of calls among them, for as long as one
//! node needs it. So a call may be written with the name below and with the expression above, or the other way round.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

use super::lift::Known;
use super::marker::Marker;

/// What the names that the optimiser makes up begin with.
const MADE_UP: &str = "__common_expr";

/// The calls of `known` that a projection's columns are enough to write.
pub(super) fn through(known: Vec<Known>, exprs: &[Expr]) -> Vec<Known> {
    let (calls, definitions): (Vec<Known>, Vec<Known>) = known.into_iter().partition(is_call);
    let carried = |known: Known| {
        let written_out = || Known { call: written_out(&known.call, &definitions), column: known.column.clone() };
        carry(&known, exprs).or_else(|| carry(&written_out(), exprs))
    };
    calls.into_iter().filter_map(carried).collect()
}

/// What the names made up in a projection stand for, where its other columns are enough to tell.
pub(super) fn definitions(exprs: &[Expr]) -> Vec<Known> {
    let definition = |expr: &Expr| match expr {
        Expr::Alias(alias) if alias.name.starts_with(MADE_UP) => {
            let column = Column::new(alias.relation.clone(), alias.name.clone());
            let others: Vec<Expr> = exprs.iter().filter(|other| *other != expr).cloned().collect();
            carry(&Known { call: alias.expr.as_ref().clone(), column }, &others)
        }
        _ => None,
    };
    exprs.iter().filter_map(definition).collect()
}

fn is_call(known: &Known) -> bool {
    matches!(&known.call, Expr::ScalarFunction(call) if Marker::of(call).is_some())
}

/// `call` with expressions in the place of made-up names.
pub(super) fn written_out(call: &Expr, definitions: &[Known]) -> Expr {
    let written = call.clone().transform(|node| {
        let stands_for = |definition: &&Known| matches!(&node, Expr::Column(column) if *column == definition.column);
        Ok(match definitions.iter().find(stands_for) {
            Some(definition) if !is_call(definition) => Transformed::yes(definition.call.clone()),
            _ => Transformed::no(node),
        })
    });
    written.map_or_else(|_| call.clone(), |written| written.data)
}

/// `known` in terms of a projection's columns, if all that the call needs is among them. What the projection works out
/// itself counts.
fn carry(known: &Known, exprs: &[Expr]) -> Option<Known> {
    let mut is_lost = false;
    let call = known.call.clone().transform_down(|node| {
        if let Some(column) = named(&node, exprs) {
            return Ok(Transformed::new(Expr::Column(column), true, TreeNodeRecursion::Jump));
        }
        is_lost |= matches!(node, Expr::Column(_));
        Ok(Transformed::no(node))
    });
    let call = call.ok()?.data;
    (!is_lost).then(|| Known { call, column: known.column.clone() })
}

/// The column that a projection puts `expr` into.
fn named(expr: &Expr, exprs: &[Expr]) -> Option<Column> {
    match expr {
        Expr::Column(column) => renamed(column, exprs),
        Expr::Literal(..) => None,
        _ => exprs.iter().find_map(|named| match named {
            Expr::Alias(alias) if alias.expr.as_ref() == expr => {
                Some(Column::new(alias.relation.clone(), alias.name.clone()))
            }
            _ => None,
        }),
    }
}

/// Where `column` is after a projection.
pub(super) fn renamed(column: &Column, exprs: &[Expr]) -> Option<Column> {
    exprs.iter().find_map(|expr| match expr {
        Expr::Column(other) if other == column => Some(other.clone()),
        Expr::Alias(alias) if matches!(alias.expr.as_ref(), Expr::Column(other) if other == column) => {
            Some(Column::new(alias.relation.clone(), alias.name.clone()))
        }
        _ => None,
    })
}

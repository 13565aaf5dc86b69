//! Conditions under which an expression is evaluated at all, put together so that they themselves are evaluated
//! only where the statement would: a later condition stands inside the `CASE` of an earlier one.

use datafusion::logical_expr::{Expr, lit, when};

/// `outer`, and where that is true, `inner`.
pub(super) fn both(outer: Option<Expr>, inner: Expr) -> datafusion::error::Result<Expr> {
    match outer {
        Some(outer) => when(outer, inner).otherwise(lit(false)),
        None => Ok(inner),
    }
}

/// Either of two guards.
pub(super) fn either(left: Expr, right: Expr) -> Expr {
    if left == right { left } else { left.is_true().or(right.is_true()) }
}

/// Whether `conditions` are all not true, the last aside if `last_holds`: then that one is.
pub(super) fn branch(conditions: &[Expr], last_holds: bool) -> datafusion::error::Result<Option<Expr>> {
    let Some((first, rest)) = conditions.split_first() else { return Ok(None) };
    let mut cases = match (rest.is_empty(), last_holds) {
        (true, true) => return Ok(Some(first.clone().is_true())),
        _ => when(first.clone().is_true(), lit(false)),
    };
    for (index, condition) in rest.iter().enumerate() {
        let is_last = index + 1 == rest.len();
        cases.when(condition.clone().is_true(), lit(is_last && last_holds));
    }
    cases.otherwise(lit(!last_holds)).map(Some)
}

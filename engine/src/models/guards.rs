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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::logical_expr::col;

    use super::*;

    #[test]
    fn a_branch_is_taken_where_its_condition_is_the_first_to_hold() {
        let shown =
            |conditions: &[Expr], last_holds| branch(conditions, last_holds).unwrap().map(|expr| expr.to_string());
        assert_eq!(shown(&[], false), None);
        assert_eq!(shown(&[col("a")], true).unwrap(), "a IS TRUE");
        assert_eq!(
            shown(&[col("a"), col("b")], true).unwrap(),
            "CASE WHEN a IS TRUE THEN Boolean(false) WHEN b IS TRUE THEN Boolean(true) ELSE Boolean(false) END"
        );
        assert_eq!(
            shown(&[col("a"), col("b")], false).unwrap(),
            "CASE WHEN a IS TRUE THEN Boolean(false) WHEN b IS TRUE THEN Boolean(false) ELSE Boolean(true) END"
        );
    }

    #[test]
    fn an_inner_guard_is_looked_at_only_where_the_outer_one_is_true() {
        let both = both(Some(col("a")), col("b")).unwrap();
        assert_eq!(both.to_string(), "CASE WHEN a THEN b ELSE Boolean(false) END");
    }
}

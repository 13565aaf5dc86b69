//! Operators that mean in Postgres what the planner does not take them for.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, lit};

/// A quoted constant beside a truth value is one itself: `indisprimary = 'f'`.
#[derive(Debug)]
pub(crate) struct QuotedTruth;

impl ExprPlanner for QuotedTruth {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_truth = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::Boolean));
        if let Some(value) = quoted_truth(&expr.right).filter(|_| is_truth(&expr.left)) {
            expr.right = lit(value);
        } else if let Some(value) = quoted_truth(&expr.left).filter(|_| is_truth(&expr.right)) {
            expr.left = lit(value);
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// The truth value that a text constant spells, as Postgres reads it.
fn quoted_truth(expr: &Expr) -> Option<bool> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr else { return None };
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

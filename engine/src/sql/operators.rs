//! Operators that mean in Postgres what the planner does not take them for.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::search::{self, distances, parse_vector};
use crate::{Error, ErrorKind};

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

/// `@@`, and pgvector's `<->`, `<=>` and `<#>`.
#[derive(Debug)]
pub(crate) struct SearchOperators;

/// The function of `@@`.
static MATCH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let functions = search::text_functions::functions().into_iter();
    Arc::new(functions.into_iter().next().unwrap_or_else(search::bm25::function))
});

impl ExprPlanner for SearchOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match &expr.op {
            BinaryOperator::AtAt => Arc::clone(&MATCH),
            BinaryOperator::LtDashGt => of_distance("<->")?,
            BinaryOperator::Spaceship if is_vector(&expr.left, schema) || is_vector(&expr.right, schema) => {
                of_distance("<=>")?
            }
            BinaryOperator::Custom(name) if name == "<#>" => of_distance("<#>")?,
            BinaryOperator::PGCustomBinaryOperator(name) if name.concat() == "<#>" => of_distance("<#>")?,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let args = match &expr.op {
            BinaryOperator::AtAt => vec![expr.left, expr.right],
            _ => vec![vector(expr.left)?, vector(expr.right)?],
        };
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    }
}

fn of_distance(operator: &str) -> Result<Arc<ScalarUDF>> {
    let found = distances::of_operator(operator).map(Arc::clone);
    found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("{operator} is no distance")).into())
}

fn is_vector(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::List(_) | DataType::FixedSizeList(..) | DataType::LargeList(_)))
}

/// A text constant beside a vector operator is a vector as pgvector writes it.
fn vector(expr: Expr) -> Result<Expr> {
    let vectors = DataType::new_list(DataType::Float32, true);
    if matches!(&expr, Expr::Placeholder(placeholder) if placeholder.field.is_none()) {
        return Ok(Expr::Cast(Cast::new(Box::new(expr), vectors)));
    }
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &expr else { return Ok(expr) };
    let Some(vector) = parse_vector(text) else {
        return Err(Error::new(ErrorKind::InvalidValue, format!("{text:?} is no vector"))
            .with_hint("write '[1, 2, 3]'")
            .into());
    };
    let values: Vec<ScalarValue> = vector.into_iter().map(ScalarValue::from).collect();
    Ok(lit(ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float32))))
}

//! Simple conditions as SQLite can evaluate them with the same answer as we would.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use rusqlite::types::Value;

use super::values::timestamp_text;

/// A condition and the values of its `?`.
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// `expr` as a condition of SQLite; `None` if it must be evaluated by us.
pub(super) fn condition(expr: &Expr) -> Option<Condition> {
    let mut values = Vec::new();
    let sql = translate(expr, &mut values)?;
    Some(Condition { sql, values })
}

fn translate(expr: &Expr, values: &mut Vec<Value>) -> Option<String> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            Some(format!("({} {op} {})", translate(left, values)?, translate(right, values)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operator = comparison(*op)?;
            Some(format!("{} {operator} {}", operand(left, values)?, operand(right, values)?))
        }
        Expr::IsNull(inner) => Some(format!("{} IS NULL", column(inner)?)),
        Expr::IsNotNull(inner) => Some(format!("{} IS NOT NULL", column(inner)?)),
        Expr::Not(inner) => Some(format!("NOT ({})", translate(inner, values)?)),
        Expr::InList(InList { expr, list, negated }) => {
            let column = column(expr)?;
            let items = list.iter().map(|item| operand(item, values)).collect::<Option<Vec<_>>>()?;
            let not = if *negated { "NOT " } else { "" };
            Some(format!("{column} {not}IN ({})", items.join(", ")))
        }
        _ => None,
    }
}

fn comparison(operator: Operator) -> Option<&'static str> {
    Some(match operator {
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    })
}

fn column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(column) => Some(format!("\"{}\"", column.name.replace('"', "\"\""))),
        _ => None,
    }
}

fn operand(expr: &Expr, values: &mut Vec<Value>) -> Option<String> {
    if let Some(column) = column(expr) {
        return Some(column);
    }
    let Expr::Literal(literal, _) = expr else { return None };
    let value = match literal {
        ScalarValue::Boolean(Some(value)) => Value::Integer(i64::from(*value)),
        ScalarValue::Int8(Some(value)) => Value::Integer(i64::from(*value)),
        ScalarValue::Int16(Some(value)) => Value::Integer(i64::from(*value)),
        ScalarValue::Int32(Some(value)) => Value::Integer(i64::from(*value)),
        ScalarValue::Int64(Some(value)) => Value::Integer(*value),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Value::Text(text.clone())
        }
        ScalarValue::TimestampMicrosecond(Some(micros), _) => timestamp_text(*micros).ok()?,
        // Reals are left to us: a REAL column of f32 values compares with f64 there.
        _ => return None,
    };
    values.push(value);
    Some("?".to_owned())
}

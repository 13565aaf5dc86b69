//! Values of expressions without columns, and types by their SQL names: arguments of `CALL` and
//! `EXECUTE`, column types of `CREATE TABLE`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast;

use super::conversation::Conversation;
use crate::{Error, ErrorKind, Result};

/// The value of `expr`.
pub(crate) fn value(session: &Arc<Conversation>, expr: &ast::Expr) -> Result<ScalarValue> {
    let planner = session.planner()?;
    let state = planner.state(&session.current().transaction, HashMap::new());
    match simplified(&state, expr.clone())? {
        Expr::Literal(value, _) => Ok(value),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("{expr} is not a constant"))),
    }
}

/// The type written as `data_type`.
pub(crate) fn data_type(session: &Arc<Conversation>, data_type: &ast::DataType) -> Result<DataType> {
    let planner = session.planner()?;
    let state = planner.state(&session.current().transaction, HashMap::new());
    let cast = ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(ast::Expr::Value(ast::Value::Null.with_empty_span())),
        data_type: data_type.clone(),
        array: false,
        format: None,
    };
    let expr = super::planner::expression(&state, cast)?;
    match expr {
        Expr::Cast(cast) => Ok(cast.field.data_type().clone()),
        Expr::Literal(value, _) => Ok(value.data_type()),
        _ => Err(Error::new(ErrorKind::UndefinedObject, format!("type \"{data_type}\" does not exist"))),
    }
}

/// `expr` planned without columns, and worked out as far as it goes.
pub(crate) fn simplified(state: &SessionState, expr: ast::Expr) -> Result<Expr> {
    let schema = DFSchema::empty();
    let expr = super::planner::expression(state, expr)?;
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    Ok(simplifier.coerce(expr, &schema).and_then(|expr| simplifier.simplify(expr))?)
}

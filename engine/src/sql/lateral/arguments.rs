//! Puts the arguments of a call into the order of the function's parameters and fills in defaults.

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, ObjectName};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::registry::FunctionDefinition;
use crate::{Error, ErrorKind, Result};

/// The arguments of a call to `function`, one for each parameter.
pub(super) fn bind(function: &FunctionDefinition, arguments: Vec<FunctionArg>) -> Result<Vec<Expr>> {
    let mut slots: Vec<Option<Expr>> = vec![None; function.parameters.len()];
    let mut named_seen = false;
    for (position, argument) in arguments.into_iter().enumerate() {
        let (index, value) = match argument {
            FunctionArg::Unnamed(_) if named_seen => {
                return Err(mismatch(function, "a positional argument cannot follow a named one"));
            }
            FunctionArg::Unnamed(value) => (position, value),
            FunctionArg::Named { name, arg, .. } => {
                named_seen = true;
                (index_of(function, &name.value)?, arg)
            }
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                named_seen = true;
                (index_of(function, &name.value)?, arg)
            }
            FunctionArg::ExprNamed { name, .. } => {
                return Err(mismatch(function, format!("\"{name}\" is not the name of an option")));
            }
        };
        let FunctionArgExpr::Expr(value) = value else {
            return Err(mismatch(function, "* is not an argument"));
        };
        let Some(slot) = slots.get_mut(index) else {
            return Err(mismatch(function, "too many arguments"));
        };
        if slot.replace(value).is_some() {
            let name = function.parameters.get(index).map_or("", |parameter| parameter.name);
            return Err(mismatch(function, format!("\"{name}\" is given twice")));
        }
    }
    let filled = slots.into_iter().zip(function.parameters.iter());
    filled
        .map(|(slot, parameter)| match (slot, parameter.default) {
            (Some(value), _) => Ok(value),
            (None, Some(default)) => parse_default(function, default),
            (None, None) => Err(mismatch(function, format!("\"{}\" is missing", parameter.name))),
        })
        .collect()
}

/// The last part of a function's name, folded as Postgres folds identifiers.
pub(super) fn function_name(name: &ObjectName) -> Option<String> {
    let last = name.0.last()?.as_ident()?;
    Some(if last.quote_style.is_some() { last.value.clone() } else { last.value.to_lowercase() })
}

fn index_of(function: &FunctionDefinition, name: &str) -> Result<usize> {
    function
        .parameters
        .iter()
        .position(|parameter| parameter.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| mismatch(function, format!("there is no option \"{name}\"")))
}

fn mismatch(function: &FunctionDefinition, problem: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::UndefinedFunction, format!("function {}: {}", function.name(), problem.as_ref()))
        .with_hint(format!("call it as {}({})", function.name(), function.arguments()))
}

fn parse_default(function: &FunctionDefinition, default: &str) -> Result<Expr> {
    Parser::new(&PostgreSqlDialect {})
        .try_with_sql(default)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| Error::new(ErrorKind::Internal, format!("default of {}: {error}", function.name())))
}

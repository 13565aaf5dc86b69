//! The pass over the syntax tree: named options to positions, calls in `FROM` to lateral calls,
//! `ARRAY(SELECT …)` to an aggregate, `(value).member` to a call.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Statement, TableFactor, Value, VisitMut,
    VisitorMut,
};

use super::arguments::{bind, function_name};
use super::array_subquery::{array_of, call};
use super::registry::Functions;
use crate::{Error, Result};

/// Rewrites every call in `statement` to a function of `functions`, and marks calls in `FROM` as lateral.
pub(crate) fn rewrite_statement(statement: &mut Statement, functions: &Functions) -> Result<()> {
    match statement.visit(&mut CallRewriter { functions }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct CallRewriter<'a> {
    functions: &'a Functions,
}

impl VisitorMut for CallRewriter<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        // DataFusion lets only this form see the tables before it.
        if let TableFactor::Table { name, alias, args: Some(arguments), with_ordinality, .. } = factor {
            *factor = TableFactor::Function {
                lateral: true,
                name: name.clone(),
                args: std::mem::take(&mut arguments.args),
                with_ordinality: *with_ordinality,
                alias: alias.take(),
            };
        }
        if let TableFactor::Function { lateral, .. } = factor {
            *lateral = true;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(call) = expr
            && let FunctionArguments::Subquery(query) = &call.args
            && function_name(&call.name).is_some_and(|name| name == "array")
            && let Some(array) = array_of(query.as_ref().clone())
        {
            *expr = array;
        }
        if let Some(member) = member_access(expr) {
            *expr = member;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(call) = expr
            && let Some(function) = function_name(&call.name).and_then(|name| self.functions.get(&name))
            && let FunctionArguments::List(list) = &mut call.args
        {
            match bind(&function, std::mem::take(&mut list.args)) {
                Ok(arguments) => {
                    list.args = arguments
                        .into_iter()
                        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
                        .collect();
                }
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

/// `(expr).a.b`, Postgres' way to the members of a composite value, as calls of `get_field`.
fn member_access(expr: &Expr) -> Option<Expr> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let Expr::Nested(root) = root.as_ref() else { return None };
    access_chain.iter().try_fold(root.as_ref().clone(), |value, access| match access {
        AccessExpr::Dot(Expr::Identifier(member)) => {
            let name = if member.quote_style.is_some() { member.value.clone() } else { member.value.to_lowercase() };
            let name = Expr::Value(Value::SingleQuotedString(name).with_empty_span());
            Some(call("get_field", vec![value, name], Vec::new()))
        }
        _ => None,
    })
}

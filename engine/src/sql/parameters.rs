//! Types of parameters that the planner does not tell by itself: those that only a cast tells
//! (`$1::bigint`), and those that stand for a whole array (`x = ANY($1)`).

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, FunctionArg, FunctionArgExpr, FunctionArguments, Statement, Value, VisitMut, VisitorMut,
};

use crate::models::Marker;

/// The type that each parameter is first cast to, by its name (`$1`). A parameter takes the type of its
/// cast, as in Postgres, and an argument of a model function the type of its parameter; DataFusion itself looks at
/// comparisons only.
pub(crate) fn cast_types(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, DataFusionError> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) = expression
                    && let Expr::Placeholder(parameter) = expr.as_ref()
                {
                    types.entry(parameter.id.clone()).or_insert_with(|| field.data_type().clone());
                }
                if let Expr::ScalarFunction(call) = expression
                    && let Some(marker) = Marker::of(call)
                {
                    for (argument, data_type) in call.args.iter().zip(marker.types()) {
                        if let Expr::Placeholder(parameter) = argument {
                            types.entry(parameter.id.clone()).or_insert_with(|| data_type.clone());
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

/// `statement` with each search in an array that is a parameter (`array_contains($1, x)`, which is what
/// `x = ANY($1)` was rewritten to) as a comparison with it (`x = $1`), and the names of those parameters.
/// The comparison tells the type of the array's elements.
pub(crate) fn with_elements_for_arrays(statement: &Statement) -> Option<(Statement, BTreeSet<String>)> {
    let mut searches = ArraySearches::default();
    let mut probe = statement.clone();
    let _ = VisitMut::visit(&mut probe, &mut searches);
    (!searches.parameters.is_empty()).then_some((probe, searches.parameters))
}

#[derive(Default)]
struct ArraySearches {
    parameters: BTreeSet<String>,
}

impl VisitorMut for ArraySearches {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let Some((parameter, array, element)) = array_search(expr) {
            self.parameters.insert(parameter);
            *expr = ast::Expr::BinaryOp { left: Box::new(element), op: BinaryOperator::Eq, right: Box::new(array) };
        }
        ControlFlow::Continue(())
    }
}

/// The parameter's name, the parameter and what is searched for, if `expr` is such a search.
fn array_search(expr: &ast::Expr) -> Option<(String, ast::Expr, ast::Expr)> {
    let ast::Expr::Function(call) = expr else { return None };
    if !call.name.to_string().eq_ignore_ascii_case("array_contains") {
        return None;
    }
    let FunctionArguments::List(list) = &call.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(array)), FunctionArg::Unnamed(FunctionArgExpr::Expr(element))] =
        list.args.as_slice()
    else {
        return None;
    };
    match array {
        ast::Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some((name.clone(), array.clone(), element.clone())),
            _ => None,
        },
        _ => None,
    }
}

//! `ARRAY(SELECT …)`: the rows of a subquery as an array, by way of `array_agg`.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, Value,
};

/// The expression that stands for `ARRAY(query)`; `None` if the query is not of a form we can rewrite.
pub(super) fn array_of(mut query: Query) -> Option<Expr> {
    let order = match query.order_by.take().map(|order| order.kind) {
        None => Vec::new(),
        Some(OrderByKind::Expressions(order)) => order,
        Some(OrderByKind::All(_)) => return None,
    };
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if is_grouped || select.distinct.is_some() {
        return None;
    }
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = select.projection.as_slice()
    else {
        return None;
    };
    let order = order.into_iter().map(|order| order_by_item(order, item)).collect();
    select.projection = vec![SelectItem::UnnamedExpr(aggregate(item.clone(), order))];
    let array = Expr::Subquery(Box::new(query));
    // array_agg over no rows is null; ARRAY() over no rows is empty.
    let empty = call("make_array", Vec::new(), Vec::new());
    Some(call("coalesce", vec![array, empty], Vec::new()))
}

/// `ORDER BY 1` means the item itself.
fn order_by_item(mut order: OrderByExpr, item: &Expr) -> OrderByExpr {
    if matches!(&order.expr, Expr::Value(value) if matches!(value.value, Value::Number(_, _))) {
        order.expr = item.clone();
    }
    order
}

fn aggregate(item: Expr, order: Vec<OrderByExpr>) -> Expr {
    let clauses = if order.is_empty() { Vec::new() } else { vec![FunctionArgumentClause::OrderBy(order)] };
    call("array_agg", vec![item], clauses)
}

/// A plain call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>, clauses: Vec<FunctionArgumentClause>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

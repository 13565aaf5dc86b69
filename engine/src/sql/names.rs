//! Column names of results, as Postgres gives them: `count` for `count(*)`, `?column?` for `1 + 1`.
//!
//! The planner refuses two result columns of one name, Postgres does not. So later ones get a mark
//! that [`visible`] takes off again when the rows leave the engine.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, Value, VisitMut, VisitorMut,
};

/// Separates a column's name from the number that tells it from others of the name.
const MARK: char = '\u{1f}';

/// Names the unnamed columns of every `SELECT` in `statement`.
pub(crate) fn assign(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Namer);
}

/// `schema` with the marks taken off.
pub(crate) fn visible(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| field.name().contains(MARK)) {
        return Arc::clone(schema);
    }
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.name().split_once(MARK) {
            Some((name, _)) => field.as_ref().clone().with_name(name),
            None => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = &mut query.order_by {
                sort_by_place(select, keys);
            }
            name_columns(select);
        }
        ControlFlow::Continue(())
    }
}

/// Sorts by the place of a result column that is a part of a column, where the key is written like it.
///
/// `a[1]` is going to be called `a`, and under `ORDER BY a[1]` the planner would take `a` for the result's column.
fn sort_by_place(select: &Select, keys: &mut [OrderByExpr]) {
    if has_wildcard(select) {
        return;
    }
    for key in keys.iter_mut().filter(|key| matches!(key.expr, Expr::CompoundFieldAccess { .. })) {
        let is_key = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(expr) if *expr == key.expr);
        if let Some(place) = select.projection.iter().position(is_key) {
            key.expr = Expr::Value(Value::Number((place + 1).to_string(), false).into());
        }
    }
}

fn has_wildcard(select: &Select) -> bool {
    select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
}

fn name_columns(select: &mut Select) {
    let has_wildcard = has_wildcard(select);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for item in &mut select.projection {
        let (name, named_by_us) = match &*item {
            SelectItem::UnnamedExpr(expr) => match column_name(expr) {
                Some(name) => (name, !is_column(expr)),
                None => ("?column?".to_owned(), true),
            },
            SelectItem::ExprWithAlias { alias, .. } => (folded(alias), false),
            _ => continue,
        };
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        let repeated = *count > 1 || (has_wildcard && matches!(item, SelectItem::UnnamedExpr(_)));
        if !repeated && !named_by_us {
            continue;
        }
        let unique = if repeated { format!("{name}{MARK}{count}") } else { name };
        let alias = Ident::with_quote('"', unique);
        *item = match std::mem::replace(item, SelectItem::Wildcard(Default::default())) {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                SelectItem::ExprWithAlias { expr, alias }
            }
            other => other,
        };
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The name Postgres would choose for `expr`, if it has one to choose.
fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded),
        Expr::Function(function) => function.name.0.last().and_then(|part| part.as_ident()).map(folded),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => column_name(inner),
        Expr::Cast { expr, data_type, .. } => column_name(expr).or_else(|| Some(type_name(data_type))),
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = |part: &AccessExpr| match part {
                AccessExpr::Dot(field) => column_name(field),
                AccessExpr::Subscript(_) => None,
            };
            access_chain.iter().rev().find_map(field).or_else(|| column_name(root))
        }
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => column_name(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => Some(folded(alias)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Postgres names a cast of a nameless value by the type's short name.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4".to_owned(),
        DataType::BigInt(_) | DataType::Int8(_) => "int8".to_owned(),
        DataType::SmallInt(_) | DataType::Int2(_) => "int2".to_owned(),
        DataType::Real | DataType::Float4 => "float4".to_owned(),
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(_) => "float8".to_owned(),
        DataType::Boolean | DataType::Bool => "bool".to_owned(),
        DataType::Timestamp(_, zone) => {
            let written = zone.to_string().to_uppercase();
            if written.contains("WITH TIME") || written == "TZ" { "timestamptz" } else { "timestamp" }.to_owned()
        }
        other => {
            let name = other.to_string().to_lowercase();
            name.split(['(', ' ']).next().unwrap_or_default().to_owned()
        }
    }
}

//! Rewrites of catalogue queries, after those of `datafusion-pg-catalog`: what it leaves wrong, or what
//! the planner still refuses.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    LimitClause, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor, Value, Visit, VisitMut, Visitor,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Rewrites a query to the system catalogues.
pub(crate) fn rewrite(statement: &mut Statement) {
    show_names(statement);
    // The visitor never breaks off.
    let _ = statement.visit(&mut CatalogRewriter);
}

/// `oid::regclass` in the select list: shown as a name, as its text form is.
fn show_names(statement: &mut Statement) {
    let Statement::Query(query) = statement else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    for item in &mut select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, .. } => {
                if let Some(name) = name_of_object(expr) {
                    *expr = name;
                }
            }
            SelectItem::UnnamedExpr(cast @ Expr::Cast { .. }) => {
                let Expr::Cast { expr: oid, .. } = &*cast else { continue };
                let column = last_name(oid).unwrap_or("name").to_owned();
                if let Some(expr) = name_of_object(cast) {
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::new(column) };
                }
            }
            _ => {}
        }
    }
}

/// The name of the object whose id `expr` casts to an alias type of `oid`; `None` if it is no such cast.
fn name_of_object(expr: &Expr) -> Option<Expr> {
    let Expr::Cast { expr: oid, data_type, .. } = expr else { return None };
    let target = data_type.to_string().to_lowercase();
    match target.rsplit('.').next()? {
        alias @ ("regclass" | "regtype" | "regnamespace" | "regrole" | "regproc") => {
            parse(&format!("{alias}out({oid})"))
        }
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_lowercase();
    let bare = name.rsplit('.').next().unwrap_or(&name);
    ["text", "varchar", "character varying", "name"].contains(&bare)
}

/// Columns of `pg_type` that hold function names, which clients compare with `'…'::regproc`.
const FUNCTION_COLUMNS: [&str; 7] =
    ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze"];

/// Lists that are null here for every object: options of tables and roles of row policies.
const EMPTY_LISTS: [&str; 2] = ["reloptions", "polroles"];

struct CatalogRewriter;

impl VisitorMut for CatalogRewriter {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && let Some(rows) = set_returning(call)
        {
            *expr = rows;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        if let [only] = name.0.as_slice()
            && only.as_ident().is_some_and(|ident| super::schema::is_own(&ident.value.to_lowercase()))
        {
            *name = ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(only.to_string())]);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // The text of an object's id is the object's name.
            Expr::Cast { expr: inner, data_type, .. } if is_text(data_type) => {
                if let Some(name) = name_of_object(inner) {
                    *expr = name;
                }
            }
            // A system table's name is known without its schema: 'pg_class'::regclass.
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
                if last_name(left) == Some("nspname") && is_current_schema(right) =>
            {
                let schemas = ["'pg_catalog'", "'public'"].into_iter().filter_map(parse).collect();
                *expr = Expr::InList { expr: left.clone(), list: schemas, negated: false };
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right }
                if last_name(left).is_some_and(|name| FUNCTION_COLUMNS.contains(&name)) =>
            {
                if let Some(name) = function_constant(right) {
                    **right = text(name);
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take() {
                    escape_by_backslash(pattern, &escape.to_string());
                }
            }
            Expr::Function(call) => {
                if let FunctionArguments::Subquery(query) = &call.args
                    && mentions_empty_list(query)
                    && let Some(null) = parse("CAST(NULL AS text[])")
                {
                    *expr = null;
                }
            }
            Expr::Subquery(query) if asks_nothing(query) => {
                if let Some(null) = parse("CAST(NULL AS text)") {
                    *expr = null;
                }
            }
            Expr::Subquery(query) if follows_domains(query) => {
                if let Some(null) = parse("CAST(NULL AS oid)") {
                    *expr = null;
                }
            }
            Expr::Subquery(query) => take_first(query),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn text(value: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(value).with_empty_span())
}

/// The bare name that a function constant (`'pg_catalog.array_in'::regproc`, or 0 for none) is kept under.
fn function_constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Subquery(query) => {
            let name = first_text(query)?;
            Some(name.rsplit('.').next().unwrap_or(&name).to_owned())
        }
        Expr::Value(value) if matches!(value.value, Value::Number(_, _)) => Some("-".to_owned()),
        _ => None,
    }
}

/// The planner knows only the backslash as an escape in patterns.
fn escape_by_backslash(pattern: &mut Expr, escape: &str) {
    let rewritten = parse(&format!(r"replace(replace({pattern}, '\', '\\'), {escape}, '\')"));
    if let Some(rewritten) = rewritten {
        *pattern = rewritten;
    }
}

/// Functions that give rows in a select list, by way of `unnest`.
fn set_returning(call: &Function) -> Option<Expr> {
    let name = call.name.0.last()?.as_ident()?.value.to_lowercase();
    let FunctionArguments::List(list) = &call.args else { return None };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array))) = list.args.first() else { return None };
    match name.as_str() {
        "generate_subscripts" => {
            parse(&format!("unnest(generate_series(1, CAST(coalesce(array_length({array}, 1), 0) AS BIGINT), 1))"))
        }
        "_pg_expandarray" => parse(&format!("unnest(pg_expandarray({array}))")),
        _ => None,
    }
}

fn parse(sql: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?.parse_expr().ok()
}

fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::CompoundIdentifier(names) => names.last().map(|name: &Ident| name.value.as_str()),
        _ => None,
    }
}

fn is_current_schema(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("current_schema"))
}

/// Tables with no row about anything of ours: there are no sequences, no column defaults and no collations.
const EMPTY_TABLES: [&str; 3] = ["pg_sequence", "pg_attrdef", "pg_collation"];

/// Whether a scalar subquery looks up a row that cannot be there.
fn asks_nothing(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let [from] = select.from.as_slice() else { return false };
    let TableFactor::Table { name, args: None, .. } = &from.relation else { return false };
    let table = name.0.last().and_then(|part| part.as_ident());
    let is_aggregated =
        select.projection.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(item) if is_aggregate(item)));
    // Nothing here is collated differently from its type, so a type's collation is as good as none.
    let is_collation = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(item)] => last_name(item) == Some("typcollation"),
        _ => false,
    };
    is_collation || !is_aggregated && table.is_some_and(|name| EMPTY_TABLES.contains(&name.value.as_str()))
}

/// asyncpg follows domains to their base types by a recursive query of its own for each type, which the planner
/// cannot take apart. No column has a domain for its type.
fn follows_domains(query: &Query) -> bool {
    query.with.as_ref().is_some_and(|with| with.recursive && with.to_string().contains("typbasetype"))
}

/// A lookup by object id has one row, which the planner cannot know of a correlated subquery.
fn take_first(query: &mut Query) {
    if query.limit_clause.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let is_plain = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if !is_plain || !select.from.iter().all(|from| is_catalog_table(&from.relation)) {
        return;
    }
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_mut_slice()
    else {
        return;
    };
    // In a condition only an aggregate is taken; elsewhere a limit is, and fits more kinds of conditions.
    if matches!(item, Expr::BinaryOp { .. }) {
        *item = first_value(item.clone());
    } else if !is_aggregate(item) {
        let one = Expr::Value(Value::Number("1".to_owned(), false).with_empty_span());
        query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(one), offset: None, limit_by: Vec::new() });
    }
}

fn is_catalog_table(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else { return false };
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| name.value.starts_with("pg_"))
}

fn is_aggregate(expr: &Expr) -> bool {
    const AGGREGATES: [&str; 9] =
        ["array_agg", "string_agg", "count", "min", "max", "sum", "bool_and", "bool_or", "first_value"];
    matches!(expr, Expr::Function(call) if AGGREGATES.contains(&call.name.to_string().to_lowercase().as_str()))
}

fn first_value(item: Expr) -> Expr {
    match parse("first_value(x)") {
        Some(Expr::Function(mut call)) => {
            if let FunctionArguments::List(list) = &mut call.args {
                list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(item))];
            }
            Expr::Function(call)
        }
        _ => item,
    }
}

/// The first text constant in a query.
fn first_text(query: &Query) -> Option<String> {
    struct FirstText;
    impl Visitor for FirstText {
        type Break = String;
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
            match expr {
                Expr::Value(value) => match &value.value {
                    Value::SingleQuotedString(text) => ControlFlow::Break(text.clone()),
                    _ => ControlFlow::Continue(()),
                },
                _ => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut FirstText).break_value()
}

fn mentions_empty_list(query: &Query) -> bool {
    struct Mentions;
    impl Visitor for Mentions {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match last_name(expr) {
                Some(name) if EMPTY_LISTS.contains(&name) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let text = factor.to_string();
            let named = EMPTY_LISTS.iter().any(|name| text.contains(name));
            if named { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    query.visit(&mut Mentions).is_break()
}

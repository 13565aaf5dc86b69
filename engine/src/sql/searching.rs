//! Searches as they are written, brought to what the planner knows.
//!
//! - `text_search(table, column, query, k)`, `vector_search(table, column, vector, k)` and
//!   `hybrid_search(table, text column, vector column, query, vector, k)` in `FROM` become the queries that they stand for;
//! - `bm25(column)` and `snippet(column)` take over the query of `column @@ query` in the `WHERE` beside them;
//! - `@@@` is `@@`;
//! - `'[1, 2]'::vector` and a text beside a vector operator are vectors.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Query, Select, SelectItem, SetExpr, Statement, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::command::Command;
use super::parse;
use crate::search::parse_vector;
use crate::{Error, ErrorKind, Result};

/// Rows that a search gives if nothing else is said.
const ROWS: u32 = 10;
/// Rows of either ranking that a hybrid search merges, at least.
const MERGED: u32 = 60;

/// Who knows the primary keys of tables.
pub(crate) type Keys<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// Rewrites every search in `statement`.
pub(crate) fn rewrite_statement(statement: &mut Statement, keys: &Keys<'_>) -> Result<()> {
    match statement.visit(&mut Searches { keys }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Searches<'a> {
    keys: &'a Keys<'a>,
}

impl VisitorMut for Searches<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let (name, args, alias) = match factor {
            TableFactor::Table { name, alias, args: Some(args), .. } => (name, &args.args, alias),
            TableFactor::Function { name, args, alias, .. } => (name, &*args, alias),
            _ => return ControlFlow::Continue(()),
        };
        let search = match function_name(name).as_deref() {
            Some("text_search") => text_search(args),
            Some("vector_search") => vector_search(args),
            Some("hybrid_search") => hybrid_search(args, self.keys),
            _ => return ControlFlow::Continue(()),
        };
        let query = match search.and_then(|text| query_of(&text)) {
            Ok(query) => query,
            Err(error) => return ControlFlow::Break(error),
        };
        let alias = alias.take();
        *factor = TableFactor::Derived { lateral: false, subquery: query, alias, sample: None };
        ControlFlow::Continue(())
    }

    // Queries within come first, and have theirs when the outer one is looked at.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        let matches = matches_of(select);
        let mut binder = Binder { matches: &matches };
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let before = expr.to_string();
                let is_call = matches!(expr, Expr::Function(_));
                VisitMut::visit(expr, &mut binder)?;
                // The column keeps the name that the call as it was written gives it.
                if is_call
                    && before != expr.to_string()
                    && let SelectItem::UnnamedExpr(call) = item
                {
                    let name = function_of(call).unwrap_or_default();
                    *item = SelectItem::ExprWithAlias { expr: call.clone(), alias: Ident::new(name) };
                }
            }
        }
        if let Some(order) = &mut query.order_by {
            VisitMut::visit(order, &mut binder)?;
        }
        if let Some(condition) = &mut select.selection {
            VisitMut::visit(condition, &mut binder)?;
        }
        if let Some(having) = &mut select.having {
            VisitMut::visit(having, &mut binder)?;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match expr {
            Expr::BinaryOp { op: BinaryOperator::AtAt, right, .. } => {
                if let Expr::UnaryOp { op: UnaryOperator::PGAbs, expr: query } = right.as_ref() {
                    *right = query.clone();
                }
            }
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. }
                if is_vector(data_type) =>
            {
                if let Expr::Value(value) = inner.as_ref()
                    && let Value::SingleQuotedString(text) = &value.value
                {
                    match vector_literal(text) {
                        Ok(vector) => *expr = vector,
                        Err(error) => return ControlFlow::Break(error),
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Gives calls of `bm25` and `snippet` the queries of their columns.
struct Binder<'a> {
    matches: &'a [(String, Expr)],
}

impl VisitorMut for Binder<'_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Some(name) = function_of(expr) else { return ControlFlow::Continue(()) };
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let FunctionArguments::List(list) = &mut call.args else { return ControlFlow::Continue(()) };
        if !matches!(name.as_str(), "bm25" | "snippet") || list.args.len() != 1 {
            return ControlFlow::Continue(());
        }
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(column))) = list.args.first() else {
            return ControlFlow::Continue(());
        };
        let column = column.to_string();
        let Some((_, query)) = self.matches.iter().find(|(matched, _)| *matched == column) else {
            let error = Error::new(ErrorKind::Unsupported, format!("{name}({column}) has no query to go by"))
                .with_hint(format!("say WHERE {column} @@ 'query' beside it, or {name}({column}, 'query')"));
            return ControlFlow::Break(error);
        };
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(query.clone())));
        ControlFlow::Continue(())
    }
}

/// The columns that a `WHERE` matches, as they are written, with their queries.
fn matches_of(select: &Select) -> Vec<(String, Expr)> {
    let mut found = Vec::new();
    let mut left: Vec<&Expr> = select.selection.iter().collect();
    while let Some(expr) = left.pop() {
        match expr {
            Expr::BinaryOp { left: one, op: BinaryOperator::And, right: other } => left.extend([one.as_ref(), other]),
            Expr::Nested(inner) => left.push(inner),
            Expr::BinaryOp { left: column, op: BinaryOperator::AtAt, right: query } => {
                let query = match query.as_ref() {
                    Expr::UnaryOp { op: UnaryOperator::PGAbs, expr } => expr.as_ref().clone(),
                    other => other.clone(),
                };
                found.push((column.to_string(), query));
            }
            Expr::Function(call) if function_of(expr).as_deref() == Some("text_match") => {
                if let FunctionArguments::List(list) = &call.args
                    && let [
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(column)),
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(query)),
                    ] = list.args.as_slice()
                {
                    found.push((column.to_string(), query.clone()));
                }
            }
            _ => {}
        }
    }
    found
}

/// `text_search(table, column, query, k => 10, filter => condition)`.
fn text_search(args: &[FunctionArg]) -> Result<String> {
    let args = Given::new("text_search", &["table", "column", "query", "k", "filter"], args)?;
    let (table, column) = (quoted(args.name("table")?), quoted(args.name("column")?));
    let (query, k, filter) = (args.needed("query")?, args.count()?, args.filter());
    Ok(format!(
        "SELECT *, bm25({column}, {query}) AS score FROM {table} WHERE text_match({column}, {query}){filter} \
         ORDER BY bm25({column}, {query}) DESC LIMIT {k}"
    ))
}

/// `vector_search(table, column, vector, k => 10, metric => 'cosine', filter => condition)`.
fn vector_search(args: &[FunctionArg]) -> Result<String> {
    let args = Given::new("vector_search", &["table", "column", "vector", "k", "metric", "filter"], args)?;
    let (table, column) = (quoted(args.name("table")?), quoted(args.name("column")?));
    let (vector, k, operator, filter) = (args.needed("vector")?, args.count()?, args.operator()?, args.filter());
    Ok(format!(
        "SELECT *, {column} {operator} {vector} AS distance FROM {table} WHERE {column} IS NOT NULL{filter} \
         ORDER BY {column} {operator} {vector} LIMIT {k}"
    ))
}

/// `hybrid_search(table, column, embedding, query, vector, k => 10, metric => 'cosine', filter => condition)`: reciprocal rank
/// fusion of both searches.
fn hybrid_search(args: &[FunctionArg], keys: &Keys<'_>) -> Result<String> {
    let names = ["table", "column", "embedding", "query", "vector", "k", "metric", "filter"];
    let args = Given::new("hybrid_search", &names, args)?;
    let (table, column, embedding) = (args.name("table")?, args.name("column")?, args.name("embedding")?);
    let literal = |name: &str| super::grammar::text_literal(name.to_owned());
    let (searched, words) = (literal(table), literal(column));
    let (query, vector, k, operator) = (args.needed("query")?, args.needed("vector")?, args.count()?, args.operator()?);
    let filter = args.filter();
    let merged = args.optional("k").and_then(|k| k.to_string().parse::<u32>().ok()).unwrap_or(ROWS).max(MERGED);
    let passed = args.optional("filter").map(|filter| format!(", filter => {filter}")).unwrap_or_default();
    let key = keys(table);
    if key.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, format!("hybrid_search needs a primary key of {table}"))
            .with_hint("it tells which rows of the two rankings are the same"));
    }
    let key = key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
    let (table, embedding) = (quoted(table), quoted(embedding));
    Ok(format!(
        "SELECT t.*, f.score AS score FROM (\
           SELECT {key}, sum(1.0 / (60 + place)) AS score FROM (\
             SELECT {key}, row_number() OVER (ORDER BY score DESC) AS place \
               FROM text_search({searched}, {words}, {query}, {merged}{passed}) \
             UNION ALL \
             SELECT {key}, row_number() OVER (ORDER BY distance) AS place FROM (\
               SELECT {key}, {embedding} {operator} {vector} AS distance FROM {table} \
               WHERE {embedding} IS NOT NULL{filter} \
               ORDER BY {embedding} {operator} {vector} LIMIT {merged}) AS near\
           ) AS ranked GROUP BY {key}) AS f JOIN {table} AS t USING ({key}) \
         ORDER BY f.score DESC LIMIT {k}"
    ))
}

/// The arguments of a search, by name.
struct Given<'a> {
    function: &'static str,
    values: Vec<(&'static str, &'a Expr)>,
}

impl<'a> Given<'a> {
    fn new(function: &'static str, names: &[&'static str], args: &'a [FunctionArg]) -> Result<Self> {
        let mut values: Vec<(&'static str, &'a Expr)> = Vec::new();
        let form = || format!("{function}({})", names.join(", "));
        for (position, arg) in args.iter().enumerate() {
            let (name, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (names.get(position).copied(), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. }
                | FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
                    (names.iter().copied().find(|known| *known == name.value), value)
                }
                _ => (None, &NOTHING),
            };
            let Some(name) = name else {
                return Err(Error::new(ErrorKind::UndefinedFunction, format!("{function} has no argument {arg}"))
                    .with_hint(form()));
            };
            if values.iter().any(|(known, _)| *known == name) {
                return Err(Error::new(ErrorKind::Syntax, format!("{name} is given twice")).with_hint(form()));
            }
            values.push((name, value));
        }
        Ok(Self { function, values })
    }

    fn optional(&self, name: &str) -> Option<&'a Expr> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn needed(&self, name: &str) -> Result<String> {
        let value = self
            .optional(name)
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("{} needs {name}", self.function)))?;
        Ok(format!("({value})"))
    }

    /// The name of a table or column, which is a constant.
    fn name(&self, name: &str) -> Result<&'a str> {
        let function = self.function;
        match self.optional(name) {
            Some(Expr::Value(value)) => match &value.value {
                Value::SingleQuotedString(text) => Ok(text),
                other => Err(Error::new(ErrorKind::InvalidValue, format!("{name} of {function} cannot be {other}"))),
            },
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("{function} needs {name}, as a quoted name"))),
        }
    }

    /// The condition on rows, as what follows another one.
    fn filter(&self) -> String {
        self.optional("filter").map(|filter| format!(" AND ({filter})")).unwrap_or_default()
    }

    fn count(&self) -> Result<String> {
        Ok(self.optional("k").map_or_else(|| ROWS.to_string(), ToString::to_string))
    }

    fn operator(&self) -> Result<&'static str> {
        let Some(metric) = self.optional("metric") else { return Ok("<=>") };
        match metric.to_string().trim_matches('\'') {
            "cosine" => Ok("<=>"),
            "l2" => Ok("<->"),
            "inner_product" => Ok("<#>"),
            other => Err(Error::new(ErrorKind::InvalidValue, format!("metric cannot be {other}"))
                .with_hint("there are 'cosine', 'l2' and 'inner_product'")),
        }
    }
}

static NOTHING: Expr = Expr::Value(datafusion::sql::sqlparser::ast::ValueWithSpan {
    value: Value::Null,
    span: datafusion::sql::sqlparser::tokenizer::Span {
        start: datafusion::sql::sqlparser::tokenizer::Location { line: 0, column: 0 },
        end: datafusion::sql::sqlparser::tokenizer::Location { line: 0, column: 0 },
    },
});

/// A name as an identifier; bare where that means the same.
fn quoted(name: &str) -> String {
    let is_bare = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if is_bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn query_of(text: &str) -> Result<Box<Query>> {
    match parse::parse_one(text)?.command.as_ref() {
        Command::Query(statement) => match statement.as_ref() {
            Statement::Query(query) => Ok(query.clone()),
            _ => Err(Error::new(ErrorKind::Internal, "a search is no query")),
        },
        _ => Err(Error::new(ErrorKind::Internal, "a search is no query")),
    }
}

/// A vector as an array of reals.
fn vector_literal(text: &str) -> Result<Expr> {
    let vector = parse_vector(text).ok_or_else(|| {
        Error::new(ErrorKind::InvalidValue, format!("{text:?} is no vector")).with_hint("write '[1, 2, 3]'")
    })?;
    let numbers: Vec<String> = vector.iter().map(|number| format!("{number:?}")).collect();
    let text = format!("SELECT CAST(ARRAY[{}] AS real[])", numbers.join(", "));
    let query = query_of(&text)?;
    match *query.body {
        SetExpr::Select(select) => match select.projection.into_iter().next() {
            Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => Ok(expr),
            _ => Err(Error::new(ErrorKind::Internal, "a vector is no expression")),
        },
        _ => Err(Error::new(ErrorKind::Internal, "a vector is no expression")),
    }
}

fn is_vector(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Custom(name, _) if function_name(name).as_deref() == Some("vector"))
}

fn function_name(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase())
}

fn function_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Function(call) => function_name(&call.name),
        _ => None,
    }
}

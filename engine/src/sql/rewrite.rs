//! Rewrites of the syntax tree from Postgres' ways to those the planner knows.
//!
//! Two sets. What any query may write (`= ANY(array)`, `current_user`, `COLLATE`) is rewritten always.
//! Questions to the system catalogues, as drivers and tools ask them, go through the whole
//! compatibility parser of `datafusion-pg-catalog`, which also swaps whole queries it knows by heart.

use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixArrayLiteral, RewriteArrayAnyAllOperation,
    RewritePgCatalogOperator, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

use crate::pg_catalog;

static CATALOG_QUERIES: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

static GENERAL: [&(dyn SqlStatementRewriteRule + Sync); 6] = [
    &RewriteArrayAnyAllOperation,
    &StripCallableQualifier,
    &FixArrayLiteral,
    &CurrentUserVariableToSessionUserFunctionCall,
    &StripCollate,
    &RewritePgCatalogOperator,
];

/// Whether `text` asks the system catalogues.
pub(crate) fn asks_the_catalogs(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["pg_", "information_schema", "::reg", "current_schema", "version()"].iter().any(|word| text.contains(word))
}

/// Reads a query to the system catalogues.
pub(crate) fn catalog_query(text: &str) -> Result<Option<Statement>, ParserError> {
    let mut statement = CATALOG_QUERIES.parse(text)?.pop();
    if let Some(statement) = &mut statement {
        pg_catalog::rewrite(statement);
    }
    Ok(statement)
}

/// The rewrites that hold for every statement.
pub(crate) fn general(statement: Statement) -> Statement {
    GENERAL.iter().fold(statement, |statement, rule| rule.rewrite(statement))
}

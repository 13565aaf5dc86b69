//! A bare DataFusion session with the lateral passes in place, for tests of single passes and functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{Functions, flatten, planner, rewrite_statement};
use crate::sql::functions;

fn session() -> (SessionContext, Arc<Functions>) {
    let known = Arc::new(Functions::default());
    functions::register(&known);
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_relation_planners(vec![planner(Arc::clone(&known))])
        .build();
    let context = SessionContext::new_with_state(state);
    for function in known.all() {
        context.register_udf(function.scalar.as_ref().clone());
    }
    for function in functions::plain() {
        context.register_udf(function.as_ref().clone());
    }
    (context, known)
}

/// Tables `p(id, x, y)` with lists, some empty or null, and `n(k)`.
async fn with_tables(context: &SessionContext) -> Result<()> {
    for definition in [
        "CREATE TABLE p AS SELECT * FROM (VALUES (1, [10, 20], ['a', 'b']), (2, [], ['c']), (3, NULL, NULL), (4, [40], ['d'])) AS v(id, x, y)",
        "CREATE TABLE n AS SELECT * FROM (VALUES (1), (2), (3)) AS v(k)",
    ] {
        context.sql(definition).await?.collect().await?;
    }
    Ok(())
}

/// The result of one statement, through all three passes.
pub(crate) async fn query(sql: &str) -> Result<Vec<RecordBatch>> {
    let (context, known) = session();
    with_tables(&context).await?;
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)?;
    let mut statement = statements.pop().expect("a statement");
    rewrite_statement(&mut statement, &known)?;
    let plan = context.state().statement_to_plan(Statement::Statement(Box::new(statement))).await?;
    let plan = flatten(plan)?;
    context.execute_logical_plan(plan).await?.collect().await
}

/// The rows of [`query`], as text with `|` between columns.
pub(crate) async fn rows(sql: &str) -> Vec<String> {
    let batches = query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let options = FormatOptions::default().with_null("null");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

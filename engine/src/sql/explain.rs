//! `EXPLAIN`: the plan as lines of text in one column, as Postgres' clients expect it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{ExplainOption, LogicalPlanBuilder};
use datafusion::sql::parser::{ExplainStatement, Statement as PlannerStatement};

use super::conversation::Conversation;
use super::{answers, changes, prepared, run};
use crate::{Error, ErrorKind, Outcome, Result, RowStream, lookup};

/// The one column of `EXPLAIN`.
pub(crate) fn schema() -> SchemaRef {
    answers::text_columns(&["QUERY PLAN"])
}

/// Explains; with `ANALYZE`, runs the statement too, and gives up what it changed.
pub(crate) async fn execute(session: &Arc<Conversation>, explain: &ExplainStatement) -> Result<Outcome> {
    let PlannerStatement::Statement(statement) = explain.statement.as_ref() else {
        return Err(Error::new(ErrorKind::Unsupported, "cannot explain this kind of statement"));
    };
    let transaction = session.current().transaction;
    let statement = changes::for_planner(session, &transaction, statement).await?;
    let planned = prepared::on_query_threads(session, &transaction, statement, Vec::new()).await?;
    let options = &explain.options;
    let mut option = ExplainOption::default().with_analyze(options.analyze).with_verbose(options.verbose);
    if let Some(format) = &options.format {
        option = option.with_format(format.clone());
    }
    let lookup = match lookup::is_promising(&planned.plan) {
        true => lookup::recognize(&planned.plan, &planned.state).map(|lookup| lookup.description()),
        false => None,
    };
    let plan = LogicalPlanBuilder::from(planned.plan).explain_option_format(option)?.build()?;
    let rows = run::rows(&session.shared().runtime, planned.state, plan, session.stop(), || {}).await?;
    // `ANALYZE` runs the plan, which a look-up does without.
    let first = lookup.filter(|_| !options.analyze);
    let lines: Vec<String> = first.into_iter().chain(lines(rows).await?).collect();
    answers::table("EXPLAIN", schema(), vec![Arc::new(StringArray::from(lines)) as ArrayRef])
}

/// The planner answers one row per kind of plan; here it becomes lines under the kind's name.
async fn lines(mut rows: RowStream) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let [kinds, plans] = batch.columns() else { continue };
        let (Some(kinds), Some(plans)) = (kinds.as_string_opt::<i32>(), plans.as_string_opt::<i32>()) else { continue };
        for (kind, plan) in kinds.iter().zip(plans.iter()) {
            lines.push(kind.unwrap_or_default().replace('_', " "));
            lines.extend(plan.unwrap_or_default().lines().map(|line| format!("  {line}")));
        }
    }
    Ok(lines)
}

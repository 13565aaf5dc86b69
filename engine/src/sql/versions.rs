//! Time travel: `FROM t VERSION AS OF 7` and `FROM t TIMESTAMP AS OF '2026-01-01'`.
//!
//! The planner looks tables up by name and knows no versions. So before planning each versioned table
//! is opened and the statement gets a name of its own for it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::ast::{
    self, Ident, ObjectName, TableAlias, TableFactor, TableVersion, VisitMut, VisitorMut,
};

use super::constants;
use super::planner::Planner;
use crate::storage::transaction::{Transaction, Version};
use crate::{Error, ErrorKind, Result};

/// Opens the versioned tables of `statement` and renames them in it; answers them by their new names.
pub(crate) async fn pin(
    planner: &Arc<Planner>,
    transaction: &Arc<Transaction>,
    statement: &mut ast::Statement,
) -> Result<HashMap<String, Arc<dyn TableProvider>>> {
    let mut finder = Finder::default();
    let _ = VisitMut::visit(statement, &mut finder);
    let mut pinned = HashMap::new();
    for (alias, table, version) in finder.found {
        let version = match version {
            TableVersion::VersionAsOf(expr) => Version::Number(number(&expr)?),
            TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => {
                Version::Time(time(planner, transaction, expr)?)
            }
            _ => {
                return Err(Error::new(ErrorKind::Unsupported, "only VERSION AS OF and TIMESTAMP AS OF are supported"));
            }
        };
        let provider = transaction.table_at(&table, version).await?;
        pinned.insert(alias, Arc::new(super::pinned::PinnedTable::new(provider)) as Arc<dyn TableProvider>);
    }
    Ok(pinned)
}

#[derive(Default)]
struct Finder {
    found: Vec<(String, String, TableVersion)>,
}

impl VisitorMut for Finder {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, version, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(taken) = version.take() else { return ControlFlow::Continue(()) };
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()).cloned() else {
            return ControlFlow::Continue(());
        };
        let table = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
        let unique = format!("{table}@{}", self.found.len());
        *name = ObjectName::from(vec![Ident::with_quote('"', unique.clone())]);
        alias.get_or_insert_with(|| TableAlias { explicit: true, name: ident, columns: Vec::new(), at: None });
        self.found.push((unique, table, taken));
        ControlFlow::Continue(())
    }
}

fn number(expr: &ast::Expr) -> Result<u64> {
    expr.to_string()
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidValue, format!("\"{expr}\" is not a version number")))
}

/// Works out a point in time from an expression without columns.
fn time(planner: &Arc<Planner>, transaction: &Arc<Transaction>, expr: ast::Expr) -> Result<DateTime<Utc>> {
    let state = planner.state(transaction, HashMap::new());
    let text = expr.to_string();
    let invalid = || Error::new(ErrorKind::InvalidValue, format!("{text} is not a point in time"));
    let zone = state.config_options().execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
    let target = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    let expr = match constants::simplified(&state, expr)? {
        Expr::Literal(value, metadata) => Expr::Literal(value.cast_to(&target).map_err(|_| invalid())?, metadata),
        _ => return Err(invalid()),
    };
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), _), _) => {
            DateTime::from_timestamp_micros(micros).ok_or_else(invalid)
        }
        _ => Err(invalid()),
    }
}

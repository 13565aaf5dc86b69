//! `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `TRUNCATE`: run to their end, then committed.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use super::command::Change;
use super::conversation::Conversation;
use super::transaction::commit_durably;
use super::{prepared, run, upsert};
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Outcome, Prepared, Result};

/// Runs `change` with `parameters`.
pub(crate) async fn execute(
    session: &Arc<Conversation>,
    prepared: &Prepared,
    change: &Change,
    parameters: Vec<ScalarValue>,
) -> Result<Outcome> {
    refuse_if_read_only(session, change.tag)?;
    session.place().note_write();
    let current = session.current();
    let stop = session.stop();
    let statement = for_planner(session, &current.transaction, &change.statement).await?;
    let binding = prepared::bind(session, prepared, &statement, &current.transaction, parameters);
    let (plan, state) = stop.race(binding).await?;
    let rows = run::count(&session.shared().runtime, state, plan, &stop).await?;
    if current.own {
        commit_durably(session, current.transaction).await?;
    }
    match change.tag {
        "TRUNCATE TABLE" => Ok(Outcome::Done { command: change.tag, notice: None }),
        command => Ok(Outcome::Changed { command, rows }),
    }
}

/// Refuses `command` in a read-only transaction or database.
pub(crate) fn refuse_if_read_only(session: &Conversation, command: &str) -> Result<()> {
    if session.shared().read_only {
        return Err(Error::new(
            ErrorKind::ReadOnly,
            format!("cannot execute {command}: the database is open read-only"),
        )
        .with_hint("another process may hold the writer's lock"));
    }
    let vars = session.vars();
    let inside = session.transaction_status() != crate::TransactionStatus::Idle;
    let setting = if inside { "transaction_read_only" } else { "default_transaction_read_only" };
    if vars.is_on(setting) {
        return Err(Error::new(ErrorKind::ReadOnly, format!("cannot execute {command} in a read-only transaction"))
            .with_hint(format!("SET {setting} = off")));
    }
    Ok(())
}

/// `statement` in the form the planner takes: `ON CONFLICT` becomes `MERGE`.
pub(crate) async fn for_planner(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    statement: &ast::Statement,
) -> Result<ast::Statement> {
    match statement {
        ast::Statement::Insert(insert) if insert.on.is_some() => upsert::to_merge(session, transaction, insert).await,
        other => Ok(other.clone()),
    }
}

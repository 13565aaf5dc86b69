//! Who carries out which command.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::command::{Command, Copy, SettingCommand};
use super::conversation::Conversation;
use super::{answers, call, changes, copy, copy_file, definitions, explain, named, prepared, run, transaction};
use crate::{Outcome, Prepared, Result};

/// Runs `prepared` with `parameters`.
pub(crate) async fn execute(
    session: &Arc<Conversation>,
    prepared: &Prepared,
    parameters: Vec<ScalarValue>,
) -> Result<Outcome> {
    match prepared.statement.command.as_ref() {
        Command::Query(query) => {
            let rows = rows(session, prepared, query, parameters).await?;
            Ok(Outcome::Rows { command: "SELECT", rows })
        }
        Command::Change(change) => changes::execute(session, prepared, change, parameters).await,
        Command::Explain(statement) => explain::execute(session, statement).await,
        Command::Setting(command) => setting(session, command),
        Command::Show(name) => answers::setting(session.vars(), name),
        Command::ShowAll => answers::settings(session.vars()),
        Command::Transaction(command) => transaction::execute(session, command).await,
        Command::Definition(definition) => definitions::execute(session, definition, &prepared.statement.text).await,
        Command::Copy(Copy::In { table, columns, options }) => {
            copy::input(session, table, columns, options.clone()).await
        }
        Command::Copy(Copy::Out { query, options }) => copy::output(session, query, options.clone()).await,
        Command::Copy(Copy::ToFile { query, path, format, options }) => {
            copy_file::write(session, query, path, format.as_deref(), options).await
        }
        Command::Call(command) => call::execute(session, command).await,
        Command::Prepare { name, types, statement } => named::prepare(session, name, types, statement).await,
        Command::Execute { name, arguments } => Box::pin(named::execute(session, name, arguments)).await,
        Command::Deallocate(name) => named::deallocate(session, name.as_deref()),
        Command::Ignored { tag, notice } => Ok(Outcome::Done { command: tag, notice: Some(notice.clone()) }),
    }
}

/// Runs a query.
async fn rows(
    session: &Arc<Conversation>,
    prepared: &Prepared,
    query: &datafusion::sql::sqlparser::ast::Statement,
    parameters: Vec<ScalarValue>,
) -> Result<crate::RowStream> {
    let stop = session.stop();
    let current = session.current();
    let found = stop.race(prepared::look_up(session, prepared, &current.transaction, &parameters)).await?;
    if let Some(batch) = found {
        return run::found(batch);
    }
    let binding = prepared::bind(session, prepared, query, &current.transaction, parameters);
    let (plan, state) = stop.race(binding).await?;
    run::rows(&session.shared().runtime, state, plan, stop, session.on_failure()).await
}

fn setting(session: &Arc<Conversation>, command: &SettingCommand) -> Result<Outcome> {
    let vars = session.vars();
    let done = |command| Ok(Outcome::Done { command, notice: None });
    match command {
        SettingCommand::Set { name, value, local } => {
            vars.assign(name, value.as_deref(), *local)?;
            done("SET")
        }
        SettingCommand::TransactionMode { read_only, session: all } => {
            if let Some(read_only) = read_only {
                let value = if *read_only { "on" } else { "off" };
                match all {
                    true => vars.assign("default_transaction_read_only", Some(value), false)?,
                    false => vars.assign("transaction_read_only", Some(value), true)?,
                }
            }
            done("SET")
        }
        SettingCommand::Reset(name) => {
            vars.assign(name, None, false)?;
            done("RESET")
        }
        SettingCommand::ResetAll => {
            vars.reset_all();
            done("RESET")
        }
        SettingCommand::Discard { all } => {
            if *all {
                vars.reset_all();
                session.named().clear();
                return done("DISCARD ALL");
            }
            done("DISCARD")
        }
    }
}

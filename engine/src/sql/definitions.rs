//! Changing definitions: tables, views, comments, users.
//!
//! Each change is a transaction of its own and cannot be rolled back. Inside `BEGIN … COMMIT` the work so
//! far is committed first, and what follows sees the new definition.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;

use super::command::Definition;
use super::conversation::Conversation;
use super::grammar::table_name;
use super::transaction::{Place, commit_durably};
use super::{changes, indexing, scram, tables, views};
use crate::community::StoredView;
use crate::schema::VIEWS;
use crate::{Error, ErrorKind, Outcome, Result};

/// Carries out `definition`; `text` is the statement's.
pub(crate) async fn execute(session: &Arc<Conversation>, definition: &Definition, text: &str) -> Result<Outcome> {
    changes::refuse_if_read_only(session, tag(definition))?;
    let early = commit_so_far(session).await?;
    let outcome = carry_out(session, definition, text).await;
    if let Place::Inside(block) = &mut *session.place() {
        block.transaction = session.shared().database.begin();
    }
    match outcome? {
        Outcome::Done { command, notice: None } => Ok(Outcome::Done { command, notice: early }),
        other => Ok(other),
    }
}

fn tag(definition: &Definition) -> &'static str {
    match definition {
        Definition::CreateTable(_) => "CREATE TABLE",
        Definition::DropTable { .. } => "DROP TABLE",
        Definition::CreateView { .. } => "CREATE VIEW",
        Definition::DropView { .. } => "DROP VIEW",
        Definition::CreateIndex(_) => "CREATE INDEX",
        Definition::DropIndex { .. } => "DROP INDEX",
        Definition::Comment { .. } => "COMMENT",
        Definition::PutUser { create: true, .. } => "CREATE ROLE",
        Definition::PutUser { .. } => "ALTER ROLE",
        Definition::DropUser { .. } => "DROP ROLE",
    }
}

/// Commits what the open transaction staged; answers a remark if there was something.
async fn commit_so_far(session: &Arc<Conversation>) -> Result<Option<String>> {
    let current = session.current();
    if current.own || !current.transaction.has_changes() {
        return Ok(None);
    }
    commit_durably(session, current.transaction).await?;
    Ok(Some("the transaction's changes so far are committed: definitions cannot be rolled back".to_owned()))
}

async fn carry_out(session: &Arc<Conversation>, definition: &Definition, text: &str) -> Result<Outcome> {
    let mut notice = None;
    match definition {
        Definition::CreateTable(create) => return tables::create(session, create).await,
        Definition::DropTable { names, if_exists } => {
            for name in names {
                let dropped = drop_table(session, name).await;
                notice = unless_missing(dropped, *if_exists)?.or(notice);
            }
        }
        Definition::CreateView { name, columns, or_replace, if_not_exists, .. } => {
            let view = views::NewView { name, columns, or_replace: *or_replace, if_not_exists: *if_not_exists };
            notice = views::create(session, &view, text).await?;
        }
        Definition::DropView { names, if_exists } => {
            for name in names {
                let dropped = views::drop(session, &table_name(name)?).await;
                notice = unless_missing(dropped, *if_exists)?.or(notice);
            }
        }
        Definition::CreateIndex(create) => notice = indexing::create(session, create).await?,
        Definition::DropIndex { names, if_exists } => {
            for name in names {
                let dropped = indexing::drop(session, &table_name(name)?);
                notice = unless_missing(dropped, *if_exists)?.or(notice);
            }
        }
        Definition::Comment { table, column, comment } => {
            comment_on(session, table, column.as_deref(), comment.as_deref()).await?;
        }
        Definition::PutUser { name, password, create } => put_user(session, name, password.as_deref(), *create).await?,
        Definition::DropUser { names, if_exists } => {
            for name in names {
                let dropped = drop_user(session, name).await;
                notice = unless_missing(dropped, *if_exists)?.or(notice);
            }
        }
    }
    Ok(Outcome::Done { command: tag(definition), notice })
}

/// With `IF EXISTS`, a missing object is worth a remark and no error.
fn unless_missing(result: Result<()>, if_exists: bool) -> Result<Option<String>> {
    match result {
        Ok(()) => Ok(None),
        Err(error) if if_exists && matches!(error.kind(), ErrorKind::UndefinedTable | ErrorKind::UndefinedObject) => {
            Ok(Some(format!("{}, skipping", error.message())))
        }
        Err(error) => Err(error),
    }
}

async fn drop_table(session: &Arc<Conversation>, name: &ast::ObjectName) -> Result<()> {
    let shared = session.shared();
    let name = table_name(name)?;
    if shared.community.table(&name).is_some() {
        return Err(Error::new(ErrorKind::Permission, format!("table \"{name}\" is built in and cannot be dropped"))
            .with_hint(format!("DELETE FROM {name} empties it")));
    }
    if shared.community.views()?.iter().any(|view| view.name == name) {
        return Err(Error::new(ErrorKind::TypeMismatch, format!("\"{name}\" is not a table"))
            .with_hint(format!("DROP VIEW {name}")));
    }
    let database = Arc::clone(&shared.database);
    let own = name.clone();
    shared.runtime.finish(async move { database.drop_table(&own).await }).await?;
    shared.indexes.remove_of_table(&name)
}

async fn comment_on(
    session: &Arc<Conversation>,
    table: &str,
    column: Option<&str>,
    comment: Option<&str>,
) -> Result<()> {
    let shared = session.shared();
    if let Some(view) = shared.community.views()?.into_iter().find(|view| view.name == table) {
        if column.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "comments on columns of views are not supported"));
        }
        let view = StoredView { comment: Some(comment.unwrap_or_default().to_owned()), ..view };
        return shared.community.put_view(view, true).await;
    }
    if VIEWS.iter().any(|view| view.name == table) || shared.community.table(table).is_some() {
        return Err(Error::new(ErrorKind::Permission, format!("the comment on \"{table}\" is built in")));
    }
    let (table, column, comment) = (table.to_owned(), column.map(str::to_owned), comment.map(str::to_owned));
    let database = Arc::clone(&shared.database);
    let work = async move { database.comment_on(&table, column.as_deref(), comment.as_deref()).await };
    shared.runtime.finish(work).await
}

async fn put_user(session: &Arc<Conversation>, name: &str, password: Option<&str>, create: bool) -> Result<()> {
    let community = &session.shared().community;
    let exists = community.roles()?.iter().any(|role| role == name);
    if create && exists {
        return Err(Error::new(ErrorKind::Duplicate, format!("role \"{name}\" already exists")).with_hint("ALTER USER"));
    }
    if !create && !exists {
        return Err(undefined_role(name));
    }
    let verifier = password.map(scram::verifier).transpose()?;
    community.set_password(name, verifier).await
}

async fn drop_user(session: &Arc<Conversation>, name: &str) -> Result<()> {
    match session.shared().community.drop_role(name).await? {
        true => Ok(()),
        false => Err(undefined_role(name)),
    }
}

fn undefined_role(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedObject, format!("role \"{name}\" does not exist"))
}

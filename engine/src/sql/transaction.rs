//! `BEGIN`, `COMMIT`, `ROLLBACK`: where a session stands, and what that means to a statement.

use std::sync::Arc;

use super::command::TransactionCommand;
use super::conversation::Conversation;
use super::vars::Values;
use crate::storage::database::Database;
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Outcome, Result, TransactionStatus};

/// Where a session stands between `BEGIN` and `COMMIT`.
#[derive(Debug, Default)]
pub(crate) enum Place {
    /// Every statement is a transaction of its own.
    #[default]
    Outside,
    /// Between `BEGIN` and `COMMIT`.
    Inside(Block),
    /// As [`Place::Inside`], after a statement failed.
    Failed(Block),
}

/// What is between `BEGIN` and `COMMIT`.
#[derive(Debug)]
pub(crate) struct Block {
    pub transaction: Arc<Transaction>,
    /// Settings to go back to on `ROLLBACK`.
    saved: Box<Values>,
    /// Statements so far that may have changed rows.
    writes: u64,
    savepoints: Vec<Savepoint>,
}

/// A point to go back to. Nothing is undone by that: it works as long as no rows were changed since.
#[derive(Debug)]
struct Savepoint {
    name: String,
    writes: u64,
}

/// The transaction a statement belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub transaction: Arc<Transaction>,
    /// Whether it ends with the statement.
    pub own: bool,
}

impl Place {
    pub(crate) fn status(&self) -> TransactionStatus {
        match self {
            Place::Outside => TransactionStatus::Idle,
            Place::Inside(_) => TransactionStatus::Open,
            Place::Failed(_) => TransactionStatus::Failed,
        }
    }

    pub(crate) fn current(&self, database: &Arc<Database>) -> Current {
        match self {
            Place::Inside(block) => Current { transaction: Arc::clone(&block.transaction), own: false },
            Place::Outside | Place::Failed(_) => Current { transaction: database.begin(), own: true },
        }
    }

    /// A statement failed: nothing more is done but going back.
    pub(crate) fn fail(&mut self) {
        *self = match std::mem::take(self) {
            Place::Outside => Place::Outside,
            Place::Inside(block) | Place::Failed(block) => Place::Failed(block),
        };
    }

    /// A statement begins that may change rows.
    pub(crate) fn note_write(&mut self) {
        if let Place::Inside(block) = self {
            block.writes += 1;
        }
    }
}

/// Carries out `command`.
pub(crate) async fn execute(session: &Arc<Conversation>, command: &TransactionCommand) -> Result<Outcome> {
    match command {
        TransactionCommand::Begin { read_only, start } => begin(session, *read_only, *start),
        TransactionCommand::Commit => commit(session).await,
        TransactionCommand::Rollback => Ok(rollback(session)),
        TransactionCommand::Savepoint(name) => savepoint(session, name),
        TransactionCommand::Release(name) => release(session, name),
        TransactionCommand::RollbackTo(name) => rollback_to(session, name),
    }
}

fn begin(session: &Arc<Conversation>, read_only: Option<bool>, start: bool) -> Result<Outcome> {
    let command = if start { "START TRANSACTION" } else { "BEGIN" };
    let mut place = session.place();
    match &*place {
        Place::Outside => {
            let saved = Box::new(session.vars().save());
            let transaction = session.shared().database.begin();
            *place = Place::Inside(Block { transaction, saved, writes: 0, savepoints: Vec::new() });
            drop(place);
            let read_only = read_only.unwrap_or_else(|| session.vars().is_on("default_transaction_read_only"));
            let value = if read_only { "on" } else { "off" };
            session.vars().assign("transaction_read_only", Some(value), true)?;
            Ok(Outcome::Done { command, notice: None })
        }
        Place::Inside(_) => {
            Ok(Outcome::Done { command, notice: Some("there is already a transaction in progress".to_owned()) })
        }
        Place::Failed(_) => Err(aborted()),
    }
}

/// The error of every statement between a failure and the end of the transaction.
pub(crate) fn aborted() -> Error {
    Error::new(
        ErrorKind::FailedTransaction,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
    .with_hint("ROLLBACK")
}

async fn commit(session: &Arc<Conversation>) -> Result<Outcome> {
    let place = std::mem::take(&mut *session.place());
    match place {
        Place::Outside => {
            Ok(Outcome::Done { command: "COMMIT", notice: Some("there is no transaction in progress".to_owned()) })
        }
        Place::Inside(block) => match commit_durably(session, block.transaction).await {
            Ok(()) => {
                session.vars().end_transaction();
                Ok(Outcome::Done { command: "COMMIT", notice: None })
            }
            Err(error) => {
                session.vars().restore(*block.saved);
                Err(error)
            }
        },
        Place::Failed(block) => {
            session.vars().restore(*block.saved);
            Ok(Outcome::Done { command: "ROLLBACK", notice: None })
        }
    }
}

fn rollback(session: &Arc<Conversation>) -> Outcome {
    let place = std::mem::take(&mut *session.place());
    let notice = match place {
        Place::Outside => Some("there is no transaction in progress".to_owned()),
        Place::Inside(block) | Place::Failed(block) => {
            session.vars().restore(*block.saved);
            None
        }
    };
    Outcome::Done { command: "ROLLBACK", notice }
}

fn savepoint(session: &Arc<Conversation>, name: &str) -> Result<Outcome> {
    match &mut *session.place() {
        Place::Outside => Err(no_block("SAVEPOINT")),
        Place::Failed(_) => Err(aborted()),
        Place::Inside(block) => {
            let writes = block.writes;
            block.savepoints.push(Savepoint { name: name.to_owned(), writes });
            Ok(Outcome::Done { command: "SAVEPOINT", notice: None })
        }
    }
}

fn release(session: &Arc<Conversation>, name: &str) -> Result<Outcome> {
    match &mut *session.place() {
        Place::Outside => Err(no_block("RELEASE SAVEPOINT")),
        Place::Failed(_) => Err(aborted()),
        Place::Inside(block) => {
            let at = block.find(name)?;
            block.savepoints.truncate(at);
            Ok(Outcome::Done { command: "RELEASE", notice: None })
        }
    }
}

fn rollback_to(session: &Arc<Conversation>, name: &str) -> Result<Outcome> {
    let mut place = session.place();
    let mut block = match std::mem::take(&mut *place) {
        Place::Outside => return Err(no_block("ROLLBACK TO SAVEPOINT")),
        Place::Inside(block) | Place::Failed(block) => block,
    };
    let found = block.find(name);
    let unchanged = |at: &usize| block.savepoints.get(*at).is_some_and(|savepoint| savepoint.writes == block.writes);
    match found {
        Ok(at) if unchanged(&at) => {
            block.savepoints.truncate(at + 1);
            *place = Place::Inside(block);
            Ok(Outcome::Done { command: "ROLLBACK", notice: None })
        }
        Ok(_) => {
            *place = Place::Failed(block);
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("rows were changed since savepoint \"{name}\"; that cannot be undone alone"),
            )
            .with_hint("ROLLBACK the whole transaction"))
        }
        Err(error) => {
            *place = Place::Failed(block);
            Err(error)
        }
    }
}

impl Block {
    /// Where the newest savepoint called `name` stands.
    fn find(&self, name: &str) -> Result<usize> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| Error::new(ErrorKind::UndefinedObject, format!("savepoint \"{name}\" does not exist")))
    }
}

fn no_block(command: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("{command} can only be used in transaction blocks")).with_hint("BEGIN")
}

/// Commits; a commit that has begun is carried to its end, whatever becomes of the caller.
pub(crate) async fn commit_durably(session: &Arc<Conversation>, transaction: Arc<Transaction>) -> Result<()> {
    if !transaction.has_changes() {
        return Ok(());
    }
    session.shared().runtime.finish(transaction.commit()).await
}

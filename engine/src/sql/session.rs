//! A session: one client's settings, prepared statements and transaction over the shared engine.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;

use super::conversation::Conversation;
use super::notices::{Listener, Reached};
use super::parse;
use crate::engine::{SessionOptions, Shared};
use crate::erased::Erased;
use crate::{Error, ErrorKind, Outcome, Prepared, Result, RowStream, Statement, TransactionStatus};

/// One client's conversation with the database. Cheap to clone: clones share the session.
///
/// Statements of one session run one at a time. Every statement reads one snapshot of every table.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Erased<Conversation>,
}

impl Session {
    pub(crate) fn new(shared: &Arc<Shared>, options: SessionOptions) -> Self {
        Self { inner: Conversation::new(shared, options).into() }
    }

    /// Reads `sql` as statements; text that is only blanks or comments gives an empty list.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        parse::parse(sql)
    }

    /// Plans `statement`. `hints` are the parameter types the client declared, by position.
    pub fn prepare<'a>(
        &'a self,
        statement: &'a Statement,
        hints: &'a [Option<DataType>],
    ) -> BoxFuture<'a, Result<Prepared>> {
        Box::pin(self.inner.prepare(statement, hints))
    }

    /// Runs a prepared statement with `parameters` for `$1`, `$2`, …, each of the type that
    /// [`Prepared::parameters`] tells.
    pub fn execute<'a>(
        &'a self,
        prepared: &'a Prepared,
        parameters: Vec<ScalarValue>,
    ) -> BoxFuture<'a, Result<Outcome>> {
        Box::pin(self.inner.execute(prepared, parameters))
    }

    /// Plans and runs `statement`, which has no parameters.
    pub async fn run(&self, statement: &Statement) -> Result<Outcome> {
        let prepared = self.prepare(statement, &[]).await?;
        self.execute(&prepared, Vec::new()).await
    }

    /// Runs one statement given as text and answers its rows.
    pub async fn query(&self, sql: &str) -> Result<RowStream> {
        let mut statements = self.parse(sql)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => self.run(&statement).await?.into_rows(),
            _ => Err(Error::new(ErrorKind::Syntax, "expected exactly one statement")),
        }
    }

    /// Stops the statement that is running now, if one is; its rows end with [`ErrorKind::Cancelled`].
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// Waits until another session has asked this one to end (`pg_terminate_backend`).
    pub async fn terminated(&self) {
        self.inner.terminated().cancelled().await;
    }

    /// Hears what statements say while they run, from now on.
    pub fn listen(&self) -> Listener {
        self.inner.notices().listen()
    }

    /// How far the session's last long statement came (a procedure, the build of an index); none before the first.
    pub fn reached(&self) -> Option<Reached> {
        self.inner.notices().reached()
    }

    /// Where the session stands between `BEGIN` and `COMMIT`.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.inner.transaction_status()
    }

    /// Tells the session that a statement failed outside it, in its text or its parameters. An open
    /// transaction fails with it.
    pub fn fail(&self) {
        self.inner.place().fail();
    }

    /// Name of the user the session acts for.
    pub fn user(&self) -> &str {
        self.inner.vars().user()
    }

    /// Current value of a setting, as `SHOW name` prints it.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.inner.vars().setting(name)
    }

    /// Sets `name` for this session, as `SET name = 'value'` does.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.inner.vars().set(name, value)
    }

    /// Settings that Postgres reports to clients when they change (`client_encoding`, `TimeZone`, …),
    /// changed since the last call.
    pub fn take_reports(&self) -> Vec<(String, String)> {
        self.inner.vars().take_reports()
    }
}

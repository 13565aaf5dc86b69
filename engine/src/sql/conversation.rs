//! What the clones of a session share, and the way of a statement through it:
//! prepare (plan, types), then execute (bind, run).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::notices::Notices;
use super::planner::Planner;
use super::run::Stop;
use super::transaction::{Current, Place, aborted};
use super::vars::SessionVars;
use super::{dispatch, errors, prepared};
use crate::engine::{SessionOptions, Shared};
use crate::pg_catalog::Activity;
use crate::{Outcome, Prepared, Result, Statement, TransactionStatus};

/// The state of a session.
#[derive(Debug)]
pub(crate) struct Conversation {
    shared: Arc<Shared>,
    vars: Arc<SessionVars>,
    planner: Mutex<Option<Arc<Planner>>>,
    place: Mutex<Place>,
    running: Mutex<CancellationToken>,
    named: Mutex<HashMap<String, Prepared>>,
    /// The statement that runs, or ran last.
    text: Mutex<Arc<str>>,
    /// Statements that run now.
    active: Arc<AtomicUsize>,
    /// Another session has asked this one to end.
    terminated: CancellationToken,
    notices: Notices,
}

impl Conversation {
    pub(crate) fn new(shared: &Arc<Shared>, options: SessionOptions) -> Arc<Self> {
        let base = Arc::clone(shared.base.config_options());
        let session = Arc::new(Self {
            shared: Arc::clone(shared),
            vars: Arc::new(SessionVars::new(options, base)),
            planner: Mutex::new(None),
            place: Mutex::new(Place::default()),
            running: Mutex::new(CancellationToken::new()),
            named: Mutex::new(HashMap::new()),
            text: Mutex::new("".into()),
            active: Arc::default(),
            terminated: CancellationToken::new(),
            notices: Notices::new(),
        });
        shared.sessions.add(&session);
        session
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn vars(&self) -> &Arc<SessionVars> {
        &self.vars
    }

    /// The planner for the settings as they are now.
    pub(crate) fn planner(&self) -> Result<Arc<Planner>> {
        let mut planner = lock(&self.planner);
        match planner.as_ref().filter(|planner| planner.epoch() == self.vars.epoch()) {
            Some(planner) => Ok(Arc::clone(planner)),
            None => {
                let new = Planner::new(&self.shared, &self.vars)?;
                *planner = Some(Arc::clone(&new));
                Ok(new)
            }
        }
    }

    /// Plans `statement` and works out its parameters and columns.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        statement: &Statement,
        hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        self.refuse_if_failed(&statement.command)?;
        self.refresh().await?;
        let result = self.stop().race(Box::pin(prepared::prepare(self, statement, hints))).await;
        self.note_failure(result.map_err(|error| errors::placed(error, &statement.source)))
    }

    /// Runs `prepared` with `parameters`.
    pub(crate) async fn execute(
        self: &Arc<Self>,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        self.refuse_if_failed(&prepared.statement.command)?;
        self.refresh().await?;
        *lock(&self.text) = Arc::clone(&prepared.statement.text);
        let _active = Active::new(&self.active);
        let result = dispatch::execute(self, prepared, parameters).await;
        self.note_failure(result.map_err(|error| errors::placed(error, &prepared.statement.source)))
    }

    /// Stops whatever runs in this session.
    pub(crate) fn cancel(&self) {
        let token = std::mem::take(&mut *lock(&self.running));
        token.cancel();
    }

    /// Stops whatever runs in this session and asks its client's connection to end.
    pub(crate) fn terminate(&self) {
        self.terminated.cancel();
        self.cancel();
    }

    pub(crate) fn terminated(&self) -> &CancellationToken {
        &self.terminated
    }

    /// What statements say while they run.
    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// What stops a statement that begins now.
    pub(crate) fn stop(&self) -> Stop {
        Stop::new(lock(&self.running).child_token(), self.vars.statement_timeout())
    }

    pub(crate) fn transaction_status(&self) -> TransactionStatus {
        lock(&self.place).status()
    }

    /// Where the session stands between `BEGIN` and `COMMIT`.
    pub(crate) fn place(&self) -> MutexGuard<'_, Place> {
        lock(&self.place)
    }

    /// The transaction that a statement beginning now belongs to.
    pub(crate) fn current(&self) -> Current {
        lock(&self.place).current(&self.shared.database)
    }

    /// Statements that `PREPARE` named.
    pub(crate) fn named(&self) -> MutexGuard<'_, HashMap<String, Prepared>> {
        lock(&self.named)
    }

    /// What this session does, for `pg_stat_activity`.
    pub(crate) fn activity(&self) -> Activity {
        let state = match self.transaction_status() {
            _ if self.active.load(Ordering::Relaxed) > 0 => "active",
            TransactionStatus::Idle => "idle",
            TransactionStatus::Open => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        };
        Activity {
            process_id: self.vars.process_id(),
            user: self.vars.user().to_owned(),
            application_name: self.vars.setting("application_name").unwrap_or_default(),
            state,
            query: lock(&self.text).to_string(),
        }
    }

    /// Takes in what other processes committed, where there can be any.
    async fn refresh(&self) -> Result<()> {
        if self.transaction_status() == TransactionStatus::Idle && self.shared.read_only {
            let database = Arc::clone(&self.shared.database);
            // If commits come too fast to be read, what was read before is still one moment.
            self.shared.runtime.run(async move { database.refresh().await }).await?;
        }
        Ok(())
    }

    /// What to call when rows end with an error after their statement was answered.
    pub(crate) fn on_failure(self: &Arc<Self>) -> impl FnOnce() + Send + 'static {
        let session: Weak<Self> = Arc::downgrade(self);
        // Held by the rows: the session counts as active until they are read or dropped.
        let active = Active::new(&self.active);
        move || {
            drop(active);
            if let Some(session) = session.upgrade() {
                lock(&session.place).fail();
            }
        }
    }

    fn note_failure<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            lock(&self.place).fail();
        }
        result
    }

    fn refuse_if_failed(&self, command: &Command) -> Result<()> {
        let ends = matches!(command, Command::Transaction(_));
        if ends || lock(&self.place).status() != TransactionStatus::Failed {
            return Ok(());
        }
        Err(aborted())
    }
}

/// Counts a statement as running while it lives.
struct Active(Arc<AtomicUsize>);

impl Active {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How far a job is: what long work tells its listeners, kept for whoever asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use latentdb_datasets::{Phase, Progress};
use latentdb_engine::Session;
use latentdb_udfs::Downloads;
use serde::Serialize;
use utoipa::ToSchema;

/// How far a job is.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = JobProgress)]
pub(super) struct Reading {
    /// What is done of the part that is under way.
    done: u64,
    /// How much that part is; null where nobody knows.
    total: Option<u64>,
    /// What is counted.
    #[schema(example = "prompts")]
    unit: &'static str,
    /// The part that is under way; of a job that is done, what came of it.
    #[schema(example = "running the model")]
    message: String,
}

/// Hears how far the work is.
#[derive(Debug, Default)]
pub(super) struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reading: Reading,
    /// The session whose statement is the work; it tells itself how far it is.
    session: Option<Session>,
}

impl Meter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the work is.
    pub(super) fn read(&self) -> Reading {
        let state = self.state();
        let Some(reached) = state.session.as_ref().and_then(Session::reached) else { return state.reading.clone() };
        Reading { done: reached.done, total: reached.total, unit: reached.unit, message: reached.stage }
    }

    /// From now on the work is a statement of `session`.
    pub(super) fn follow(&self, session: &Session) {
        self.state().session = Some(session.clone());
    }

    /// The work has ended; `message` says how, if there is more to say.
    pub(super) fn end(&self, message: Option<String>) {
        let mut reading = self.read();
        if let Some(message) = message {
            reading.message = message;
            reading.done = reading.total.unwrap_or(reading.done);
        }
        *self.state() = State { reading, session: None };
    }

    fn begin(&self, message: String, total: Option<u64>) {
        self.state().reading = Reading { done: 0, total, unit: "bytes", message };
    }
}

impl Progress for Meter {
    fn begin(&self, phase: Phase, subject: &str, total_bytes: Option<u64>) {
        self.begin(format!("{phase} {subject}"), total_bytes);
    }

    fn advance(&self, _rows: u64, bytes: u64) {
        self.state().reading.done += bytes;
    }

    fn note(&self, message: &str) {
        tracing::warn!(message, "an import");
    }
}

impl Downloads for Meter {
    fn begin(&self, place: &str, file: &str, bytes: u64) {
        self.begin(format!("fetching {file} of {place}"), Some(bytes));
    }

    fn advance(&self, bytes: u64) {
        self.state().reading.done += bytes;
    }
}

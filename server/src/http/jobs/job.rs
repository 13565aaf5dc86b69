//! One job: what it does, and how it stands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use latentdb_engine::{Error, ErrorKind, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::meter::{Meter, Reading};
use super::request::JobRequest;
use crate::http::error::ErrorBody;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub(super) enum State {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// A job as its caller sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(in crate::http) struct JobRecord {
    id: String,
    #[schema(example = "import")]
    kind: &'static str,
    /// What it does, on one line.
    title: String,
    state: State,
    progress: Reading,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why it failed.
    error: Option<ErrorBody>,
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) request: JobRequest,
    run: Mutex<Run>,
}

/// One run of a job; another follows if it is resumed.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) meter: Arc<Meter>,
    /// Asks the work to stop.
    pub(super) stop: CancellationToken,
    /// Tells that it has ended.
    pub(super) ended: CancellationToken,
    state: State,
    started: DateTime<Utc>,
    finished: Option<DateTime<Utc>>,
    error: Option<ErrorBody>,
}

impl Run {
    fn new(stop: CancellationToken) -> Self {
        Self {
            meter: Arc::default(),
            stop,
            ended: CancellationToken::new(),
            state: State::Running,
            started: Utc::now(),
            finished: None,
            error: None,
        }
    }
}

impl Job {
    pub(super) fn new(request: JobRequest, stop: CancellationToken) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        Self { id, request, run: Mutex::new(Run::new(stop)) }
    }

    fn lock(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that is under way, or was last.
    pub(super) fn run(&self) -> Run {
        self.lock().clone()
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().state == State::Running
    }

    /// Begins another run of a job that failed or was cancelled.
    pub(super) fn begin_again(&self, stop: CancellationToken) -> Result<()> {
        let mut run = self.lock();
        match run.state {
            State::Failed | State::Cancelled => *run = Run::new(stop),
            State::Running => return Err(Error::new(ErrorKind::Conflict, "the job is running")),
            State::Done => return Err(Error::new(ErrorKind::Conflict, "the job is done")),
        }
        Ok(())
    }

    /// Notes how the run under way ended.
    pub(super) fn end(&self, outcome: Result<String>) {
        let mut run = self.lock();
        run.finished = Some(Utc::now());
        match outcome {
            Ok(message) => {
                run.meter.end(Some(message));
                run.state = State::Done;
            }
            Err(_) if run.stop.is_cancelled() => {
                run.meter.end(None);
                run.state = State::Cancelled;
            }
            Err(error) => {
                run.meter.end(None);
                run.state = State::Failed;
                run.error = Some(ErrorBody::from(&error));
            }
        }
        run.ended.cancel();
    }

    pub(super) fn record(&self) -> JobRecord {
        let run = self.run();
        let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        JobRecord {
            id: self.id.clone(),
            kind: self.request.kind(),
            title: self.request.title(),
            state: run.state,
            progress: run.meter.read(),
            started_at: written(run.started),
            finished_at: run.finished.map(written),
            error: run.error,
        }
    }
}

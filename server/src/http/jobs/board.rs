//! The jobs of a server: which there are, and how they start and stop.
//!
//! What always holds: so many run at once and no more; a job that is running is never forgotten; what a job does has stopped
//! when its state says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use latentdb_engine::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::job::Job;
use super::request::JobRequest;
use super::worker::Worker;

/// Jobs that run at once.
const MOST_RUNNING: usize = 4;
/// Jobs that are remembered.
const MOST_KEPT: usize = 100;
/// How long a caller that cancels waits for the work to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The jobs of a server, newest first.
#[derive(Debug)]
pub(super) struct Board {
    worker: Worker,
    jobs: Mutex<VecDeque<Arc<Job>>>,
    tasks: TaskTracker,
    /// Stops all of them.
    stop: CancellationToken,
}

impl Board {
    pub(super) fn new(worker: Worker) -> Self {
        Self { worker, jobs: Mutex::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<Arc<Job>> {
        self.lock().iter().map(Arc::clone).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().iter().find(|job| job.id == id).map(Arc::clone)
    }

    /// Starts a job for `user`.
    pub(super) fn start(&self, request: JobRequest, user: &str) -> Result<Arc<Job>> {
        request.check()?;
        let mut jobs = self.lock();
        self.check_room(&jobs)?;
        let job = Arc::new(Job::new(request, self.stop.child_token()));
        jobs.push_front(Arc::clone(&job));
        while jobs.len() > MOST_KEPT
            && let Some(oldest) = jobs.iter().rposition(|job| !job.is_running())
        {
            jobs.remove(oldest);
        }
        self.spawn(&job, user);
        Ok(job)
    }

    /// Starts a job again that failed or was cancelled; what it does goes on where it stopped.
    pub(super) fn resume(&self, job: &Arc<Job>, user: &str) -> Result<()> {
        let jobs = self.lock();
        self.check_room(&jobs)?;
        job.begin_again(self.stop.child_token())?;
        self.spawn(job, user);
        Ok(())
    }

    /// Stops a job, and waits until it has stopped, though not for ever.
    pub(super) async fn cancel(&self, job: &Job) {
        let run = job.run();
        if job.is_running() {
            run.stop.cancel();
            let _ = tokio::time::timeout(STOP_PATIENCE, run.ended.cancelled()).await;
        }
    }

    /// Stops all jobs, and waits until they have stopped.
    pub(super) async fn stop_all(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn check_room(&self, jobs: &VecDeque<Arc<Job>>) -> Result<()> {
        if self.worker.engine.is_read_only() {
            return Err(Error::new(ErrorKind::ReadOnly, "this server takes no writes, so it runs no jobs"));
        }
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Resources, "the server is stopping"));
        }
        if jobs.iter().filter(|job| job.is_running()).count() >= MOST_RUNNING {
            return Err(Error::new(ErrorKind::Resources, format!("{MOST_RUNNING} jobs are running already"))
                .with_hint("wait for one of them, or cancel it"));
        }
        Ok(())
    }

    fn spawn(&self, job: &Arc<Job>, user: &str) {
        let (job, run) = (Arc::clone(job), job.run());
        let work = self.worker.clone().run(job.request.clone(), user.to_owned(), Arc::clone(&run.meter));
        self.tasks.spawn(async move {
            let mut work = tokio::spawn(work);
            let ended = tokio::select! {
                ended = &mut work => ended,
                () = run.stop.cancelled() => {
                    work.abort();
                    work.await
                }
            };
            let outcome = ended.unwrap_or_else(|error| {
                let stopped = if error.is_cancelled() { Error::cancelled() } else { failed(&error) };
                Err(stopped)
            });
            if let Err(error) = &outcome {
                tracing::info!(job = job.id, %error, "a job did not end well");
            }
            job.end(outcome);
        });
    }
}

fn failed(error: &tokio::task::JoinError) -> Error {
    tracing::error!(%error, "a job panicked");
    Error::new(ErrorKind::Internal, "LatentDB failed at this job")
        .with_hint("this is a fault in LatentDB; the server's log says more")
}

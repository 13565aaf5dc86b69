//! The runtime that queries run on, apart from the one that answers sockets.
//!
//! Planning, decoding and aggregating keep a thread busy for milliseconds at a time. On a socket's
//! runtime that would stall every other connection, so all of it is sent here. What comes back is
//! awaited by the caller; dropping the wait aborts the work.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::{Error, ErrorKind, Result};

/// Threads for queries. Cheap to clone; the last clone to go stops them.
#[derive(Debug, Clone)]
pub(crate) struct QueryRuntime {
    owner: Arc<Owner>,
}

/// Stops the threads without waiting: a runtime may not be dropped on a thread of another one.
#[derive(Debug)]
struct Owner {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl QueryRuntime {
    /// A runtime of `threads` threads.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("latentdb-query")
            // Deep expressions are planned by recursion.
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Resources, format!("cannot start query threads: {error}")))?;
        let handle = runtime.handle().clone();
        Ok(Self { owner: Arc::new(Owner { runtime: Some(runtime), handle }) })
    }

    /// Runs `work` here and waits for it. Dropping the wait aborts the work.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut task = AbortOnDrop(self.owner.handle.spawn(work));
        match (&mut task.0).await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Err(Error::cancelled()),
            Err(error) => Err(panicked(error)),
        }
    }

    /// Runs `work` here to its end, whether or not anyone waits for it.
    pub(crate) async fn finish<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self.owner.handle.spawn(work).await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Err(Error::cancelled()),
            Err(error) => Err(panicked(error)),
        }
    }

    /// Starts `work` here, which ends with itself or with the runtime.
    pub(crate) fn forget<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.owner.handle.spawn(work));
    }

    /// Starts `work` here; it ends with itself or when the returned guard is dropped.
    pub(crate) fn spawn<F>(&self, work: F) -> AbortOnDrop<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        AbortOnDrop(self.owner.handle.spawn(work))
    }
}

/// A task that does not outlive its handle.
#[derive(Debug)]
pub(crate) struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panicked(error: tokio::task::JoinError) -> Error {
    let reason = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no reason given".to_owned()),
        Err(error) => error.to_string(),
    };
    tracing::error!(reason, "a query thread panicked");
    Error::new(ErrorKind::Internal, format!("the statement hit a fault in LatentDB: {reason}"))
        .with_hint("the database goes on; please report the statement")
}

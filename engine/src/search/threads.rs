//! Where work runs that keeps a thread busy.

use crate::{Error, ErrorKind, Result};

/// Runs a search; away from the threads of sockets, unless it `is_brief`.
///
/// A look-up is begun on its socket's thread, and goes on on those for queries as soon as it has to wait: one wait brings it there.
pub(super) async fn search<T>(is_brief: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !is_brief {
        tokio::task::yield_now().await;
    }
    work()
}

/// Runs what takes longer than a query's thread may be held.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Internal, format!("a search failed: {error}")))?
}

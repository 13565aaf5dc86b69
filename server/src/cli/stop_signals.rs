//! The signals that ask a server to stop.
//!
//! What always holds: from [`StopSignals::listen`] on, none of them ends the process by itself. Whoever
//! was told that the servers listen may therefore stop them at once, and they still close what is open.

use latentdb_engine::{Error, ErrorKind, Result};

/// SIGINT (Ctrl-C) and, on Unix, SIGTERM.
pub(super) struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let open = |kind| signal(kind).map_err(|error| refused(&error));
        Ok(Self { interrupt: open(SignalKind::interrupt())?, terminate: open(SignalKind::terminate())? })
    }

    /// The name of the next signal.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
impl StopSignals {
    pub(super) fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// The name of the next signal.
    pub(super) async fn next(&mut self) -> &'static str {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(error = %refused(&error), "Ctrl-C ends the server at once");
            std::future::pending::<()>().await;
        }
        "SIGINT"
    }
}

fn refused(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot listen for the signals that stop the server: {error}"))
}

//! The Postgres wire server.
//!
//! Messages are read and written with `pgwire`'s codecs; everything between is ours. What always holds:
//!
//! - A connection has one engine session and nothing in common with any other.
//! - Results are encoded batch by batch into one output buffer of about 64 KiB and wait for the client
//!   to read it, whichever protocol it uses: a slow client costs the server no memory.
//! - A running statement stops when its client cancels it or is gone, and when the server shuts down.
//! - Nobody is let in without a password unless they are on this machine and none is required.
//!
//! Messages arrive in `wire`, a client is let in by `startup` and served by `connection`, which
//! hands its messages to `simple`, `extended`, `cursor` and `copy`.

mod cancel;
mod connection;
mod copy;
mod cursor;
mod decode;
mod encode;
mod errors;
mod extended;
mod local;
mod portal;
mod scram;
mod simple;
mod split;
mod startup;
mod tags;
pub mod tls;
mod types;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use latentdb_engine::{Engine, Result};
use pgwire::messages::PgWireBackendMessage;
use pgwire::tokio::server::negotiate_tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cancel::CancelRegistry;
use self::connection::Connection;
use self::errors::{Failure, Report};
use self::wire::Wire;

/// A client that has not logged in by then is dropped.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long connections may take to say goodbye when the server shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Pause after a failure to accept, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How to serve.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// Certificate and key, from [`tls::server_config`]; without one, clients that ask are told to go on
    /// in plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Refuse clients that do not encrypt.
    pub require_tls: bool,
    /// Ask for a password on loopback too; everyone else is always asked.
    pub require_password: bool,
    /// Most clients at a time.
    pub max_connections: usize,
    /// Longest message that a client may send, in bytes.
    pub max_message_bytes: usize,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self {
            tls: None,
            require_tls: false,
            require_password: false,
            max_connections: 100,
            max_message_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    engine: Engine,
    options: PgOptions,
    registry: Arc<CancelRegistry>,
    decoy: scram::Decoy,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Serves clients of `listener` until `shutdown`; then stops what runs, takes leave of the clients and
/// returns.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: PgOptions,
    shutdown: CancellationToken,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let server = Arc::new(Server {
        engine,
        options,
        registry: Arc::default(),
        decoy: scram::Decoy::default(),
        places,
        shutdown: shutdown.clone(),
    });
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let server = Arc::clone(&server);
                    connections.spawn(async move { server.connect(socket, peer).await });
                }
                Err(fault) => {
                    tracing::warn!(%fault, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = shutdown.cancelled() => break,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "connections did not end in time");
    }
    Ok(())
}

impl Server {
    async fn connect(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        metrics::counter!("latentdb_pg_connections_total").increment(1);
        // Held for as long as the connection lives; one too many is told so once it has said its name.
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let login = tokio::time::timeout(LOGIN_TIMEOUT, self.login(socket, peer, place.is_none()));
        let login = tokio::select! {
            login = login => login.ok().flatten(),
            () = self.shutdown.cancelled() => None,
        };
        if let Some(connection) = login {
            metrics::gauge!("latentdb_pg_connections").increment(1);
            let _gauge = ConnectionGauge;
            connection.serve().await;
        }
        drop(place);
    }

    async fn login(&self, socket: TcpStream, peer: SocketAddr, crowded: bool) -> Option<Connection> {
        let mut wire = self.open_wire(socket, peer).await?;
        let report = match startup::admit(&mut wire, self, peer, crowded).await {
            Ok(Some(admitted)) => return Some(Connection::new(wire, admitted, self.shutdown.clone())),
            Ok(None) | Err(Failure::Disconnected) => return None,
            Err(Failure::Fatal(report) | Failure::Statement(report)) => report,
        };
        refuse(wire, peer, &report).await;
        None
    }

    /// Settles on TLS or none.
    async fn open_wire(&self, socket: TcpStream, peer: SocketAddr) -> Option<Wire> {
        let acceptor = self.options.tls.clone().map(TlsAcceptor::from);
        let socket = match negotiate_tls::<()>(socket, acceptor).await {
            Ok(socket) => socket?,
            Err(fault) => {
                tracing::debug!(%peer, %fault, "TLS negotiation failed");
                return None;
            }
        };
        let parts = socket.into_parts();
        let wire = Wire::new(parts.io, parts.read_buf, self.options.max_message_bytes);
        // What came before the handshake is nobody's word: it could have been put there by another.
        if wire.is_encrypted() && wire.has_input() {
            tracing::warn!(%peer, "unencrypted data after the request to encrypt");
            return None;
        }
        Some(wire)
    }
}

async fn refuse(mut wire: Wire, peer: SocketAddr, report: &Report) {
    tracing::info!(%peer, code = report.code(), message = report.message(), "connection refused");
    metrics::counter!("latentdb_pg_refused_total", "code" => report.code()).increment(1);
    if wire.put(PgWireBackendMessage::ErrorResponse(report.response("FATAL"))).is_ok() {
        wire.close().await;
    }
}

/// Counts a connection down when it ends, however it ends.
struct ConnectionGauge;

impl Drop for ConnectionGauge {
    fn drop(&mut self) {
        metrics::gauge!("latentdb_pg_connections").decrement(1);
    }
}

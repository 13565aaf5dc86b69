//! The Postgres wire server, spoken to by a driver and, where a driver is too polite, by hand.

mod copying;
mod cursors;
mod login;
mod protocol;
mod raw;
mod stopping;

use std::net::SocketAddr;

use latentdb_engine::{Engine, EngineOptions};
use latentdb_server::pg::{self, PgOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

/// A server in this process over an empty database.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    shutdown: CancellationToken,
    server: JoinHandle<latentdb_engine::Result<()>>,
    _directory: TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(PgOptions::default()).await
    }

    pub(crate) async fn start_with(options: PgOptions) -> Self {
        let directory = TempDir::new().unwrap();
        let location = directory.path().join("db");
        let engine = Engine::open(location.to_str().unwrap(), EngineOptions::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(pg::serve(listener, engine.clone(), options, shutdown.clone()));
        Self { address, engine, shutdown, server, _directory: directory }
    }

    /// A client logged in as `ana`, without a password.
    pub(crate) async fn client(&self) -> Client {
        self.login("user=ana dbname=anything").await.unwrap()
    }

    /// A client logged in as `settings` say.
    pub(crate) async fn login(&self, settings: &str) -> Result<Client, tokio_postgres::Error> {
        let settings = format!("host=127.0.0.1 port={} {settings}", self.address.port());
        let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs statements in a session of their own, without the wire.
    pub(crate) async fn run(&self, sql: &str) {
        let session = self.engine.session("admin");
        for statement in session.parse(sql).unwrap() {
            session.run(&statement).await.unwrap();
        }
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }
}

/// SQLSTATE of a failure.
pub(crate) fn state(error: &tokio_postgres::Error) -> &str {
    error.code().unwrap_or_else(|| panic!("no SQLSTATE: {error}")).code()
}

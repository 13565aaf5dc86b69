//! Accepting connections, plain or TLS.
//!
//! TLS handshakes run beside each other: a client that dawdles over its own keeps nobody else waiting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept (out of file descriptors, mostly) there is no use in trying again at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Connections that are ready to speak HTTP.
#[derive(Debug)]
pub(super) enum Incoming {
    Plain(TcpListener),
    Tls { address: io::Result<SocketAddr>, ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)> },
}

impl Incoming {
    pub(super) fn new(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        shutdown: CancellationToken,
    ) -> Self {
        let Some(config) = tls else { return Self::Plain(listener) };
        let mut config = (*config).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = listener.local_addr();
        let (sender, ready) = mpsc::channel(64);
        tokio::spawn(async move {
            let accept_all = accept_tls(listener, acceptor, sender);
            shutdown.run_until_cancelled(accept_all).await;
        });
        Self::Tls { address, ready }
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self {
            Self::Plain(listener) => {
                let (stream, peer) = accept_tcp(listener).await;
                (Either::Left(stream), peer)
            }
            Self::Tls { ready, .. } => match ready.recv().await {
                Some((stream, peer)) => (Either::Right(Box::new(stream)), peer),
                // The accepting task ends at shutdown only, and then nobody waits for connections.
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(listener) => listener.local_addr(),
            Self::Tls { address: Ok(address), .. } => Ok(*address),
            Self::Tls { address: Err(error), .. } => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

async fn accept_tls(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let (stream, peer) = accept_tcp(&listener).await;
        let handshake = acceptor.accept(stream);
        let ready = ready.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
            }
        });
    }
}

async fn accept_tcp(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole: waiting for more bytes only adds latency.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

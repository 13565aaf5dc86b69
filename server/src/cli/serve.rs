//! `latentdb serve`: both servers over one engine, until a signal.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use latentdb_engine::{Engine, EngineOptions, Error, ErrorKind, Result};
use latentdb_udfs::GenerationOptions;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::limits::LimitArgs;
use super::stop_signals::StopSignals;
use super::{CliResult, Failure, Global, database};
use crate::config::{ConfigFile, DEFAULT_HTTP, DEFAULT_PG, parse_bytes};
use crate::http::{self, HttpOptions, RequestLimits};
use crate::intake;
use crate::pg::{self, PgOptions};
use crate::telemetry;

/// How long requests under way get to finish after a signal; a second signal ends at once.
const GRACE: Duration = Duration::from_secs(10);
const DEFAULT_MAX_CONNECTIONS: usize = 200;
const DEFAULT_MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// What is logged unless LATENTDB_LOG says otherwise.
const DEFAULT_LOG: &str = "warn,latentdb_server=info,latentdb_engine=info,latentdb_datasets=info";

/// Serve the database over the Postgres wire protocol and HTTP.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// Address of the Postgres wire server, or off [default: 127.0.0.1:5433]
    #[arg(long, env = "LATENTDB_PG", value_name = "ADDR")]
    pg: Option<String>,
    /// Address of the HTTP server, or off [default: 127.0.0.1:3000]
    #[arg(long, env = "LATENTDB_HTTP", value_name = "ADDR")]
    http: Option<String>,
    /// Settings file (TOML); environment and flags win over it
    #[arg(long, env = "LATENTDB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Certificate chain for TLS (PEM), for both servers
    #[arg(long, env = "LATENTDB_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key for TLS (PEM)
    #[arg(long, env = "LATENTDB_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Refuse Postgres connections that do not use TLS
    #[arg(long, env = "LATENTDB_REQUIRE_TLS")]
    require_tls: bool,
    /// Ask Postgres clients for a password on loopback too
    #[arg(long, env = "LATENTDB_REQUIRE_PASSWORD")]
    require_password: bool,
    /// Ask HTTP clients for an API key on loopback too
    #[arg(long, env = "LATENTDB_REQUIRE_KEY")]
    require_key: bool,
    /// Postgres connections at once [default: 200]
    #[arg(long, env = "LATENTDB_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Take no writes; several servers may read one database
    #[arg(long, env = "LATENTDB_READ_ONLY")]
    read_only: bool,
    /// Write the addresses to this file once the servers listen
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  latentdb serve --data ./mydb
  latentdb serve --data ./mydb --pg 127.0.0.1:6000 --http off
  latentdb serve --config /etc/latentdb.toml
  latentdb serve --data s3://bucket/db --pg 0.0.0.0:5433 --tls-cert cert.pem --tls-key key.pem";

/// Everything that is to be known before the servers start.
struct Settings {
    location: String,
    engine: EngineOptions,
    pg: Option<String>,
    http: Option<String>,
    tls: Option<Arc<rustls::ServerConfig>>,
    require_tls: bool,
    require_password: bool,
    require_key: bool,
    max_connections: usize,
    max_body_bytes: usize,
    generation: GenerationOptions,
    limits: RequestLimits,
    ready_file: Option<PathBuf>,
}

/// Where the servers listen.
#[derive(Debug, Clone, Copy, Default)]
struct Addresses {
    pg: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Addresses {
    fn reach_beyond_this_machine(self) -> bool {
        [self.pg, self.http].into_iter().flatten().any(|address| !address.ip().is_loopback())
    }
}

pub(super) async fn run(global: &Global, args: ServeArgs) -> CliResult {
    let file = match &args.config {
        Some(path) => ConfigFile::read(path)?,
        None => ConfigFile::default(),
    };
    telemetry::start_logging(global.log_format.or(file.log.format).unwrap_or_default(), DEFAULT_LOG)?;
    let settings = settle(global, args, file)?;
    if settings.pg.is_none() && settings.http.is_none() {
        return Err(Failure::Usage("both servers are off".to_owned()));
    }
    // Ports first: a port that is taken is the commonest mistake, and opening takes longer.
    let pg_listener = bind(settings.pg.as_deref(), "Postgres").await?;
    let http_listener = bind(settings.http.as_deref(), "HTTP").await?;
    let addresses = Addresses { pg: address_of(pg_listener.as_ref())?, http: address_of(http_listener.as_ref())? };

    if settings.tls.is_none() && addresses.reach_beyond_this_machine() {
        tracing::warn!("other machines can connect, and without TLS what they send and read is not encrypted");
    }
    let metrics = telemetry::start_metrics()?;
    let engine = Engine::open(&settings.location, settings.engine.clone()).await?;
    let models = database::attach_models(&engine, global, settings.generation)?;
    if !engine.is_read_only() {
        models.keep_explanations_embedded(&engine);
    }
    let shutdown = CancellationToken::new();
    let mut servers: JoinSet<Result<()>> = JoinSet::new();
    if let Some(listener) = pg_listener {
        let options = PgOptions {
            tls: settings.tls.clone(),
            require_tls: settings.require_tls,
            require_password: settings.require_password,
            max_connections: settings.max_connections,
            ..PgOptions::default()
        };
        servers.spawn(pg::serve(listener, engine.clone(), options, shutdown.clone()));
    }
    if let Some(listener) = http_listener {
        let options = HttpOptions {
            tls: settings.tls.clone(),
            require_key: settings.require_key,
            max_body_bytes: settings.max_body_bytes,
            limits: settings.limits,
            state_directory: intake::state_directory(&settings.location),
            import_threads: settings.engine.threads,
            models: Some(models.clone()),
            metrics,
        };
        servers.spawn(http::serve(listener, engine.clone(), options, shutdown.clone()));
    }
    let signals = StopSignals::listen()?;
    announce(&settings, addresses)?;
    let outcome = supervise(servers, signals, &shutdown).await;
    engine.close().await?;
    tracing::info!("stopped");
    outcome
}

/// Puts flags, environment and file together.
fn settle(global: &Global, args: ServeArgs, file: ConfigFile) -> CliResult<Settings> {
    let location = match (&global.data, file.data) {
        (None, Some(location)) => location,
        _ => database::location(global)?,
    };
    let memory = match (global.memory, file.engine.memory) {
        (Some(bytes), _) => Some(bytes),
        (None, Some(text)) => Some(parse_bytes(&text).map_err(|message| Error::new(ErrorKind::InvalidValue, message))?),
        (None, None) => None,
    };
    let read_only = args.read_only || file.engine.read_only.unwrap_or_default();
    let engine = EngineOptions {
        read_only,
        create: !read_only,
        memory_bytes: memory,
        threads: global.threads.or(file.engine.threads),
        spill_directory: file.engine.spill_directory,
        state_directory: file.engine.state_directory,
        ..EngineOptions::default()
    };
    let tls = match (args.tls_cert.or(file.tls.cert), args.tls_key.or(file.tls.key)) {
        (Some(cert), Some(key)) => Some(pg::tls::server_config(&cert, &key)?),
        (None, None) => None,
        _ => return Err(Failure::Usage("TLS needs both --tls-cert and --tls-key".to_owned())),
    };
    let require_tls = args.require_tls || file.tls.required.unwrap_or_default();
    if require_tls && tls.is_none() {
        return Err(Failure::Usage("--require-tls needs --tls-cert and --tls-key".to_owned()));
    }
    let (generation, limits) = args.limits.settle(&file.limits)?;
    Ok(Settings {
        location,
        engine,
        pg: listen_address(args.pg, file.pg.listen, DEFAULT_PG),
        http: listen_address(args.http, file.http.listen, DEFAULT_HTTP),
        tls,
        require_tls,
        require_password: args.require_password || file.pg.require_password.unwrap_or_default(),
        require_key: args.require_key || file.http.require_key.unwrap_or_default(),
        max_connections: args.max_connections.or(file.pg.max_connections).unwrap_or(DEFAULT_MAX_CONNECTIONS),
        max_body_bytes: file.http.max_body_bytes.unwrap_or(DEFAULT_MAX_BODY_BYTES),
        generation,
        limits,
        ready_file: args.ready_file,
    })
}

/// The address to listen on; `None` for a server that is off.
fn listen_address(flag: Option<String>, file: Option<String>, default: &str) -> Option<String> {
    let address = flag.or(file).unwrap_or_else(|| default.to_owned());
    (address != "off").then_some(address)
}

async fn bind(address: Option<&str>, server: &str) -> CliResult<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorKind::Io, format!("the {server} server cannot listen on {address}: {error}"))
            .with_hint(format!("choose another address with --{}", if server == "HTTP" { "http" } else { "pg" }))
    })?;
    Ok(Some(listener))
}

fn address_of(listener: Option<&TcpListener>) -> CliResult<Option<SocketAddr>> {
    let address = listener.map(TcpListener::local_addr).transpose();
    address.map_err(|error| Error::new(ErrorKind::Io, format!("cannot tell a listener's address: {error}")).into())
}

/// Tells whoever started us that the servers listen, and where.
fn announce(settings: &Settings, addresses: Addresses) -> CliResult {
    let mut line = "listening".to_owned();
    if let Some(pg) = addresses.pg {
        line.push_str(&format!(" pg={pg}"));
    }
    if let Some(http) = addresses.http {
        line.push_str(&format!(" http={http}"));
    }
    if let Some(path) = &settings.ready_file {
        write_ready_file(path, &line)?;
    }
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    if out.is_terminal() {
        write!(out, "{}", greeting(settings, addresses))?;
    }
    out.flush()?;
    Ok(())
}

/// A reader that sees the file sees all of it.
fn write_ready_file(path: &Path, line: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{line}\n"))
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write {}: {error}", path.display())))
}

fn greeting(settings: &Settings, addresses: Addresses) -> String {
    let mut text = format!("\nLatentDB {} serves {}\n\nTry:\n", env!("CARGO_PKG_VERSION"), settings.location);
    if let Some(pg) = addresses.pg {
        text.push_str(&format!(
            "  psql -h {} -p {} -d latentdb -c 'SELECT model_id, source_id, count(*) FROM features GROUP BY 1, 2'\n",
            reachable(pg.ip()),
            pg.port()
        ));
    }
    if let Some(http) = addresses.http {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", SocketAddr::new(reachable(http.ip()), http.port()));
        text.push_str(&format!(
            "  {base} in a browser\n  curl {base}/v1/sql -d 'SELECT description FROM explanations LIMIT 5'\n"
        ));
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}

/// An address to connect to: a listener on all addresses answers on loopback.
fn reachable(ip: std::net::IpAddr) -> std::net::IpAddr {
    match ip {
        std::net::IpAddr::V4(v4) if v4.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Waits for a signal or for a server to fail, then for the servers to finish what they are doing.
async fn supervise(
    mut servers: JoinSet<Result<()>>,
    mut signals: StopSignals,
    shutdown: &CancellationToken,
) -> CliResult {
    let mut outcome = Ok(());
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        Some(ended) = servers.join_next() => outcome = flatten(ended),
    }
    shutdown.cancel();
    let finish = async {
        while let Some(ended) = servers.join_next().await {
            if outcome.is_ok() {
                outcome = flatten(ended);
            }
        }
    };
    tokio::select! {
        () = finish => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("some clients did not finish in time"),
        _ = signals.next() => tracing::warn!("stopped without waiting for clients"),
    }
    outcome.map_err(Failure::from)
}

fn flatten(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, format!("a server failed: {error}"))))
}

//! Logs and metrics.
//!
//! Logs go to standard error, as text or as JSON lines; `LATENTDB_LOG` filters them as tracing's
//! `EnvFilter` reads it (`debug`, `warn,latentdb_server=debug`). Metrics are kept by the `metrics` crate's
//! recorder and rendered at `/metrics`.

use std::io::IsTerminal;
use std::time::Duration;

use clap::ValueEnum;
use latentdb_engine::{Error, ErrorKind, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Environment variable that filters the log.
pub const LOG_VARIABLE: &str = "LATENTDB_LOG";

/// Upper bounds of the histograms' buckets, in seconds: half a millisecond to a minute.
const SECONDS_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// How often histograms move what they gathered into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging to standard error. `default_filter` holds where `LATENTDB_LOG` says nothing.
pub fn start_logging(format: LogFormat, default_filter: &str) -> Result<()> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            Error::new(ErrorKind::InvalidValue, format!("{LOG_VARIABLE} is not a log filter: {error}"))
                .with_hint("a level (debug, info, warn) or target=level pairs separated by commas")
        })?,
        _ => EnvFilter::new(default_filter),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::new(ErrorKind::Internal, format!("cannot start the log: {error}")))
}

/// Installs the process's metrics recorder and keeps it tidy. Needs a Tokio runtime.
pub fn start_metrics() -> Result<PrometheusHandle> {
    let failed = |error: metrics_exporter_prometheus::BuildError| {
        Error::new(ErrorKind::Internal, format!("cannot start the metrics recorder: {error}"))
    };
    let handle =
        PrometheusBuilder::new().set_buckets(SECONDS_BUCKETS).map_err(failed)?.install_recorder().map_err(failed)?;
    describe_metrics();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

fn describe_metrics() {
    metrics::describe_counter!("latentdb_http_requests_total", "HTTP requests answered, by route, method and status");
    metrics::describe_histogram!("latentdb_http_request_seconds", "Time from a request to the head of its answer");
    metrics::describe_gauge!("process_resident_memory_bytes", "Memory of this process that is in RAM");
    metrics::describe_gauge!("process_virtual_memory_bytes", "Address space of this process");
    metrics::describe_gauge!("process_open_fds", "Open file descriptors");
    metrics::describe_gauge!("process_threads", "Threads of this process");
}

/// Reads what the operating system knows of this process into the gauges. Linux only; elsewhere the
/// gauges stay away.
pub fn record_process_metrics() {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        if let Some(kibibytes) = field("VmRSS") {
            metrics::gauge!("process_resident_memory_bytes").set(kibibytes * 1024.0);
        }
        if let Some(kibibytes) = field("VmSize") {
            metrics::gauge!("process_virtual_memory_bytes").set(kibibytes * 1024.0);
        }
        if let Some(threads) = field("Threads") {
            metrics::gauge!("process_threads").set(threads);
        }
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(descriptors.count() as f64);
    }
}

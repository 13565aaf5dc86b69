//! The server's settings: one TOML file, then environment, then flags; the later win.
//!
//! Unknown keys are an error: a setting that is misspelt must not be silently without effect.
//! `docs/server.md` lists the keys.

use std::path::{Path, PathBuf};

use latentdb_engine::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::telemetry::LogFormat;

/// Where the Postgres wire server listens unless told otherwise.
pub const DEFAULT_PG: &str = "127.0.0.1:5433";
/// Where the HTTP server listens unless told otherwise.
pub const DEFAULT_HTTP: &str = "127.0.0.1:3000";

/// The settings a file may hold. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// The database: a directory or an `s3://` URL.
    pub data: Option<String>,
    /// The Postgres wire server.
    pub pg: PgSection,
    /// The HTTP server.
    pub http: HttpSection,
    /// TLS, for both servers.
    pub tls: TlsSection,
    /// The engine.
    pub engine: EngineSection,
    /// Limits of requests.
    pub limits: LimitsSection,
    /// The log.
    pub log: LogSection,
}

/// `[pg]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PgSection {
    /// Address and port; `off` to not serve.
    pub listen: Option<String>,
    /// Ask for a password on loopback too.
    pub require_password: Option<bool>,
    /// Connections at once.
    pub max_connections: Option<usize>,
}

/// `[http]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Address and port; `off` to not serve.
    pub listen: Option<String>,
    /// Ask for an API key on loopback too.
    pub require_key: Option<bool>,
    /// Largest request body.
    pub max_body_bytes: Option<usize>,
}

/// `[tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// Certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Refuse Postgres connections without TLS.
    pub required: Option<bool>,
}

/// `[engine]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// Memory that queries may take before they spill: `4GB`, `512MiB`, or bytes.
    pub memory: Option<String>,
    /// Threads that run queries.
    pub threads: Option<usize>,
    /// Take no writes.
    pub read_only: Option<bool>,
    /// Where queries spill to.
    pub spill_directory: Option<PathBuf>,
    /// Where the community tables of a database in an object store are kept.
    pub state_directory: Option<PathBuf>,
}

/// `[limits]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Tokens that a request may ask for, for each text.
    pub tokens: Option<usize>,
    /// Texts that an HTTP request may ask for or bring.
    pub prompts: Option<usize>,
    /// Texts that a model writes at a time.
    pub streams: Option<usize>,
    /// Largest strength of steering.
    pub strength: Option<f32>,
    /// Days that steered runs can be loaded again; 0 for ever.
    pub run_days: Option<u32>,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `text` or `json`.
    pub format: Option<LogFormat>,
}

impl ConfigFile {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot read the configuration {}: {error}", path.display()))
        })?;
        Self::parse(&text).map_err(|error| {
            Error::new(ErrorKind::InvalidValue, format!("{}: {error}", path.display()))
                .with_hint("docs/server.md lists the keys")
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// Reads an amount of memory: a number of bytes, or a number with a unit (`512MiB`, `4GB`, `4g`).
pub fn parse_bytes(text: &str) -> std::result::Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not an amount of memory, such as 4GB"))?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        unit => return Err(format!("{unit:?} is not a unit of memory; use KiB, MiB, GiB, KB, MB or GB")),
    };
    Ok((number * factor as f64) as usize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_documented_key_is_read() {
        let text = r#"
            data = "./mydb"
            [pg]
            listen = "0.0.0.0:5433"
            require_password = true
            max_connections = 50
            [http]
            listen = "off"
            require_key = true
            max_body_bytes = 1000
            [tls]
            cert = "cert.pem"
            key = "key.pem"
            required = true
            [engine]
            memory = "4GB"
            threads = 8
            read_only = true
            spill_directory = "/tmp/spill"
            state_directory = "/var/lib/latentdb"
            [limits]
            tokens = 1000
            prompts = 8
            streams = 16
            strength = 300.0
            run_days = 30
            [log]
            format = "json"
        "#;
        let config = ConfigFile::parse(text).unwrap();
        assert_eq!(config.data.as_deref(), Some("./mydb"));
        assert_eq!(config.pg.max_connections, Some(50));
        assert_eq!(config.http.listen.as_deref(), Some("off"));
        assert_eq!(config.tls.required, Some(true));
        assert_eq!(config.engine.threads, Some(8));
        assert_eq!(config.engine.read_only, Some(true));
        assert_eq!(
            (config.limits.tokens, config.limits.prompts, config.limits.streams),
            (Some(1000), Some(8), Some(16))
        );
        assert_eq!((config.limits.strength, config.limits.run_days), (Some(300.0), Some(30)));
        assert_eq!(config.log.format, Some(LogFormat::Json));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(ConfigFile::parse("[pg]\nlisten_addr = \"x\"").is_err());
        assert!(ConfigFile::parse("dta = \"x\"").is_err());
    }

    #[test]
    fn amounts_of_memory_have_units() {
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert_eq!(parse_bytes("4GB"), Ok(4_000_000_000));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(1_610_612_736));
        assert!(parse_bytes("lots").is_err());
        assert!(parse_bytes("4 apples").is_err());
    }
}

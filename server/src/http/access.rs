//! Who is asking, and what they may do.
//!
//! On a loopback listener reading is open to all and writing needs an API key. On any other listener
//! everything needs one. Keys are random; the table `api_keys` holds their SHA-256 only.
//!
//! A page of another web site may not run SQL here with the rights of whoever looks at it: a
//! request that a browser sends across sites is refused unless it carries a key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use latentdb_engine::{Engine, Error, ErrorKind, RepeatedQuery, Result, ScalarValue};

use super::App;
use super::cells::text_at;
use super::error::ApiError;
use crate::cli::key::hash_key;

/// Name of the header that carries a key.
pub(super) const KEY_HEADER: &str = "x-api-key";

/// User that requests without a key act as.
const ANONYMOUS: &str = "anonymous";

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) may_write: bool,
}

/// Tells callers by their keys.
#[derive(Debug)]
pub(super) struct Gate {
    /// Whether only this machine reaches the listener.
    on_loopback: bool,
    /// Whether reading needs no key.
    open: bool,
    keys: RepeatedQuery,
}

impl Gate {
    pub(super) fn new(engine: Engine, on_loopback: bool, require_key: bool) -> Self {
        let keys = RepeatedQuery::new(engine, "http", "SELECT user_id FROM api_keys WHERE key_hash = $1");
        Self { on_loopback, open: on_loopback && !require_key, keys }
    }

    pub(super) fn is_on_loopback(&self) -> bool {
        self.on_loopback
    }

    /// Whether `headers` have a key that is known.
    pub(super) async fn knows(&self, headers: &HeaderMap) -> Result<bool> {
        match presented_key(headers) {
            Some(key) => Ok(self.owner_of(key).await?.is_some()),
            None => Ok(false),
        }
    }

    /// The caller that `headers` identify; an error if they may not even read.
    async fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        if let Some(key) = presented_key(headers)
            && let Some(user) = self.owner_of(key).await?
        {
            return Ok(Caller { user, may_write: true });
        }
        // Neuronpedia's clients always send some key, so an unknown one is no reason to refuse reads.
        if self.open {
            return Ok(Caller { user: ANONYMOUS.into(), may_write: false });
        }
        Err(ApiError::unauthorized("this server answers only callers with a valid API key"))
    }

    /// Fails unless the caller may read.
    pub(super) async fn check_read(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.open { Ok(()) } else { self.identify(headers).await.map(drop) }
    }

    async fn owner_of(&self, key: &str) -> Result<Option<String>> {
        let rows = self.keys.rows(&[ScalarValue::from(hash_key(key))]).await?;
        Ok(text_at(&rows, 0, 0).map(str::to_owned))
    }
}

/// Middleware: puts the [`Caller`] into the request's extensions, or answers 401 or 403.
pub(super) async fn identify(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        // What a GET reads is the same for everyone who may read.
        app.gate.check_read(request.headers()).await?;
    } else {
        let caller = app.gate.identify(request.headers()).await?;
        if !caller.may_write && is_cross_site(request.headers()) {
            let error = Error::new(ErrorKind::Permission, "a page of another site may not run SQL without an API key");
            return Err(error.into());
        }
        request.extensions_mut().insert(caller);
    }
    Ok(next.run(request).await)
}

/// Refuses a statement that `caller` may not run. The session is read-only besides; this also stops
/// what Postgres allows in read-only transactions but an anonymous caller must not do, such as
/// `COPY … TO 'file'`.
pub(super) fn check_statement(caller: &Caller, text: &str) -> Result<()> {
    if caller.may_write || is_query(text) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Permission, "only queries may run without an API key")
        .with_hint("make a key with `latentdb key add` and send it in the header x-api-key"))
}

/// Whether `text` begins like a statement that only reads.
fn is_query(text: &str) -> bool {
    const READS: &[&str] = &["select", "with", "values", "table", "show", "explain", "describe"];
    let text = skip_comments(text).trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    READS.contains(&word.as_str())
}

/// `text` without the blanks and comments before its first word. A comment that does not end leaves nothing.
fn skip_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        rest = if let Some(line) = rest.strip_prefix("--") {
            line.split_once('\n').map_or("", |(_, after)| after).trim_start()
        } else if let Some(block) = rest.strip_prefix("/*") {
            block.split_once("*/").map_or("", |(_, after)| after).trim_start()
        } else {
            return rest;
        };
    }
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let from_header = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
    let from_bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))
    };
    from_header.or_else(from_bearer).map(str::trim).filter(|key| !key.is_empty())
}

/// Browsers name the page's origin in requests it sends elsewhere; other programs send none.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let origin_host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin_host.is_none() || origin_host != host
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_queries_count_as_queries() {
        for text in ["SELECT 1", "  -- hi\n/* there */ with x as (select 1) table x", "((select 1))", "SHOW all"] {
            assert!(is_query(text), "{text}");
        }
        for text in ["COPY t TO 'x.csv'", "", "-- select", "/* select 1", "selectx", "CALL f()", "SET a = 1"] {
            assert!(!is_query(text), "{text}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_told_from_our_own() {
        assert!(!is_cross_site(&headers(&[("host", "localhost:3000")])));
        assert!(!is_cross_site(&headers(&[("host", "localhost:3000"), ("origin", "http://localhost:3000")])));
        assert!(is_cross_site(&headers(&[("host", "localhost:3000"), ("origin", "https://evil.example")])));
        assert!(is_cross_site(&headers(&[("host", "localhost:3000"), ("origin", "null")])));
    }

    #[test]
    fn keys_are_read_from_either_header() {
        assert_eq!(presented_key(&headers(&[("x-api-key", "k")])), Some("k"));
        assert_eq!(presented_key(&headers(&[("authorization", "Bearer k")])), Some("k"));
        assert_eq!(presented_key(&headers(&[("x-api-key", " ")])), None);
    }
}

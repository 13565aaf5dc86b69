//! By which name a server on a loopback address may be called.
//!
//! A page of another site cannot read what this server answers, unless that site's name leads here: a name whose address is
//! changed to this machine's while the page is open makes the page one of ours (DNS rebinding). So a loopback listener
//! answers to its own names only; other callers show a key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use latentdb_engine::{Error, ErrorKind};

use super::App;
use super::error::ApiError;

/// Middleware: refuses requests to a loopback listener by a name that is none of its own, unless they carry a key.
pub(super) async fn check_name(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if app.gate.is_on_loopback()
        && let Some(name) = name_called(&request)
        && !is_loopback(&name)
        && !app.gate.knows(request.headers()).await?
    {
        let error = Error::new(ErrorKind::Permission, format!("this server is not called {name:?}"))
            .with_hint("call it localhost or 127.0.0.1, or send an API key in the header x-api-key");
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, error));
    }
    Ok(next.run(request).await)
}

/// The host that the client meant; none if it does not say, which no browser does.
fn name_called(request: &Request) -> Option<String> {
    let named = request.uri().authority().map(ToString::to_string);
    named.or_else(|| {
        request.headers().get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
    })
}

fn is_loopback(name: &str) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for name in ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "127.0.0.2", "[::1]:3000", "[::1]"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "::1:80:x",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}

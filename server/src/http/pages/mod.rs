//! The web app: its files, and its pages at every path that nothing else answers.
//!
//! What always holds: the files hold nothing of the database, so they need no key; a page loads nothing from elsewhere and
//! runs no script but its own (`CONTENT_POLICY`); a path of the API never answers a page.

mod assets;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use self::assets::{Asset, asset};
use super::error::ApiError;

/// What a page may load and run; who may frame it is told beside it.
const CONTENT_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                              connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                              form-action 'self'; frame-ancestors";

/// What is shown where the app was not there when the binary was built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>LatentDB</title><p>This build has no web app: run \
                         <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, then build LatentDB again.";

/// Paths of the API, and all paths below them.
const API: &[&str] = &["/api", "/v1", "/healthz", "/metrics", "/openapi.json"];

/// Answers a file of the app, or a page, or that there is nothing.
pub(super) async fn get_page(request: Request) -> Response {
    let uri = request.uri();
    if matches!(*request.method(), Method::GET | Method::HEAD) && !is_of_api(uri.path()) {
        if let Some(file) = asset(uri.path().trim_start_matches('/')) {
            return file_response(file, request.headers(), uri);
        }
        if uri.path() == "/" || wants_page(request.headers()) {
            return match asset("index.html") {
                Some(page) => file_response(page, request.headers(), uri),
                None => guarded((StatusCode::NOT_FOUND, axum::response::Html(NOT_BUILT)).into_response(), uri),
            };
        }
    }
    ApiError::not_found(format!("there is nothing at {}", uri.path())).into_response()
}

fn is_of_api(path: &str) -> bool {
    let below = |api: &&str| path.strip_prefix(*api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    API.iter().any(below)
}

/// Whether the client asks for HTML by name, as browsers do when a person goes somewhere.
fn wants_page(headers: &HeaderMap) -> bool {
    listed(headers, header::ACCEPT).any(|range| range.eq_ignore_ascii_case("text/html"))
}

/// The values of a list header, without their parameters; what has a weight of 0 is left out.
fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        (weight != Some(0.0)).then(|| name.trim())
    })
}

fn file_response(file: &Asset, headers: &HeaderMap, uri: &Uri) -> Response {
    let caching = [
        (header::ETAG, file.etag.as_str()),
        (header::CACHE_CONTROL, if file.is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" }),
        (header::VARY, "accept-encoding"),
    ];
    if listed(headers, header::IF_NONE_MATCH).any(|known| known == file.etag) {
        return guarded((StatusCode::NOT_MODIFIED, caching).into_response(), uri);
    }
    let kind = [(header::CONTENT_TYPE, file.media_type.as_str())];
    let takes_gzip = listed(headers, header::ACCEPT_ENCODING).any(|coding| coding.eq_ignore_ascii_case("gzip"));
    let response = match file.gzip().filter(|_| takes_gzip) {
        Some(packed) => (caching, kind, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (caching, kind, file.body.clone()).into_response(),
    };
    guarded(response, uri)
}

/// The response with the headers that every page has.
fn guarded(mut response: Response, uri: &Uri) -> Response {
    let is_embedded = uri.query().is_some_and(|query| query.split('&').any(|parameter| parameter == "embed=true"));
    let framers = if is_embedded { "*" } else { "'none'" };
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(format!("{CONTENT_POLICY} {framers}")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::borrow::Cow;

    use super::*;

    fn ask(file: &Asset, address: &str, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        file_response(file, &headers, &address.parse().unwrap())
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_file_is_compressed_for_who_takes_it_and_not_sent_to_who_has_it() {
        let script =
            Asset::new("assets/index-abc.js", Cow::Owned(b"let x = 1;".repeat(1000)), "text/javascript", &[1, 2]);
        let plain = ask(&script, "/assets/index-abc.js", &[("accept-encoding", "br, gzip;q=0")]);
        assert_eq!(header(&plain, "content-encoding"), None);
        assert_eq!(header(&plain, "content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(header(&plain, "cache-control"), Some("public, max-age=31536000, immutable"));
        let packed = ask(&script, "/assets/index-abc.js", &[("accept-encoding", "gzip, br")]);
        assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
        assert!(script.gzip().unwrap().len() < script.body.len() / 10);
        let etag = header(&plain, "etag").unwrap();
        assert_eq!(header(&packed, "etag"), Some(etag));
        let known = ask(&script, "/assets/index-abc.js", &[("if-none-match", etag)]);
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        let other = ask(&script, "/assets/index-abc.js", &[("if-none-match", "W/\"other\"")]);
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn a_page_is_asked_for_anew_and_framed_only_where_it_is_meant_to_be() {
        let page = Asset::new("index.html", Cow::Borrowed(b"<!doctype html>"), "text/html", &[3]);
        let policy = |address: &str| header(&ask(&page, address, &[]), "content-security-policy").unwrap().to_owned();
        assert!(policy("/a/b/1").ends_with("form-action 'self'; frame-ancestors 'none'"));
        assert!(policy("/a/b/1?embed=true&plots=false").ends_with("frame-ancestors *"));
        assert!(policy("/a/b/1?q=embed=true").ends_with("frame-ancestors 'none'"));
        let answer = ask(&page, "/", &[]);
        assert_eq!(header(&answer, "cache-control"), Some("no-cache"));
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&answer, "referrer-policy"), Some("same-origin"));
    }

    #[test]
    fn paths_of_the_api_are_told_from_pages() {
        for path in ["/api", "/api/feature/x", "/v1/nothing", "/healthz", "/openapi.json"] {
            assert!(is_of_api(path), "{path}");
        }
        for path in ["/", "/api-reference", "/v10/x/1", "/gpt2-small/10-res-jb/3"] {
            assert!(!is_of_api(path), "{path}");
        }
    }

    #[test]
    fn only_html_by_name_asks_for_a_page() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().unwrap());
            wants_page(&headers)
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json, text/html;q=0"));
    }
}

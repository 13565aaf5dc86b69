//! The web app's pages, and the names that a server may be called by.

use std::path::Path;

use reqwest::{Client, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Server, succeed};

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let client = Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn pages_are_answered_where_nothing_else_is() {
    let data = TempDir::new().unwrap();
    let server = Server::start_with(data.path(), &["--require-key"]);
    // Without npm the binary has no app, and says so.
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist/index.html").exists();
    for path in ["/", "/gpt2-small/10-res-jb/3", "/search?mode=label", "/api-reference"] {
        let page = get(&server, path, &[BROWSER]).await;
        assert_eq!(page.status(), if built { 200 } else { 404 }, "{path}");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self'; script-src 'self';"), "{policy}");
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert_eq!(page.text().await.unwrap().contains("npm run build"), !built, "{path}");
    }
    for path in ["/api/nothing", "/v1/nothing", "/api"] {
        let answer = get(&server, path, &[BROWSER]).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string(), "{path}");
    }
    let asset = get(&server, "/assets/none.js", &[("accept", "*/*")]).await;
    assert_eq!(asset.status(), 404);
    assert!(asset.json::<Value>().await.unwrap()["message"].as_str().unwrap().contains("/assets/none.js"));
}

#[tokio::test]
async fn a_loopback_server_answers_to_no_foreign_name() {
    let data = TempDir::new().unwrap();
    let key = succeed(data.path(), &["key", "add"]).trim().to_owned();
    let server = Server::start(data.path());
    let foreign = ("host", "rebound.example:3000");
    for path in ["/", "/healthz", "/api/feature/a/b/1", "/v1/jobs", "/metrics"] {
        let answer = get(&server, path, &[foreign]).await;
        assert_eq!(answer.status(), 421, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["hint"].as_str().unwrap().contains("localhost"), "{path}");
    }
    assert_eq!(get(&server, "/healthz", &[foreign, ("x-api-key", "wrong")]).await.status(), 421);
    assert_eq!(get(&server, "/healthz", &[foreign, ("x-api-key", &key)]).await.status(), 200);
    for own in ["localhost", "localhost:3000", "127.0.0.1:1", "[::1]:3000"] {
        assert_eq!(get(&server, "/healthz", &[("host", own)]).await.status(), 200, "{own}");
    }
}

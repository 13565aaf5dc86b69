//! Jobs over HTTP: what they do, how far they are, and how they end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, sample, succeed};

/// Longest that a job of these tests takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn repository(part: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part);
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> (StatusCode, Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method, server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

async fn start(server: &Server, request: Value) -> String {
    let (status, job) = ask(server, Method::POST, "/v1/jobs", Some(request), &[]).await;
    assert_eq!(status, 202, "{job}");
    assert_eq!(job["state"], "running");
    job["id"].as_str().unwrap().to_owned()
}

async fn look(server: &Server, id: &str) -> Value {
    let (status, job) = ask(server, Method::GET, &format!("/v1/jobs/{id}"), None, &[]).await;
    assert_eq!(status, 200, "{job}");
    job
}

/// The job once `is_so` holds.
async fn until(server: &Server, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let asked = Instant::now();
    loop {
        let job = look(server, id).await;
        if is_so(&job) {
            return job;
        }
        assert!(asked.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended(server: &Server, id: &str) -> Value {
    until(server, id, |job| job["state"] != "running").await
}

async fn count(server: &Server, table: &str) -> Value {
    let sql = json!({"sql": format!("SELECT count(*) FROM {table}")});
    ask(server, Method::POST, "/v1/sql", Some(sql), &[]).await.1["rows"][0][0].clone()
}

#[tokio::test]
async fn an_export_is_imported_and_its_words_are_indexed() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let import = json!({"kind": "import", "from": sample()});
    let job = ended(&server, &start(&server, import.clone()).await).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["kind"], "import");
    assert!(job["progress"]["message"].as_str().unwrap().contains("144 features"), "{job}");
    assert!(job["finished_at"].as_str().unwrap() >= job["started_at"].as_str().unwrap());
    assert_eq!(job["error"], Value::Null);
    assert_eq!(count(&server, "features").await, 144);

    // What is there already is an error, unless it is to be replaced.
    let again = ended(&server, &start(&server, import).await).await;
    assert_eq!(again["state"], "failed", "{again}");
    assert!(again["error"]["message"].as_str().unwrap().contains("tiny-stdlib/1-res-tiny"), "{again}");
    let replace = json!({"kind": "import", "from": sample(), "replace": true});
    assert_eq!(ended(&server, &start(&server, replace).await).await["state"], "done");

    let sql = "CREATE INDEX words ON contexts USING text (dataset)";
    let index = ended(&server, &start(&server, json!({"kind": "statement", "sql": sql})).await).await;
    assert_eq!((&index["state"], &index["title"]), (&json!("done"), &json!(sql)), "{index}");

    let (_, jobs) = ask(&server, Method::GET, "/v1/jobs", None, &[]).await;
    let kinds: Vec<&Value> = jobs.as_array().unwrap().iter().map(|job| &job["kind"]).collect();
    assert_eq!(kinds, ["statement", "import", "import", "import"], "newest first");
}

#[tokio::test]
async fn dashboards_are_generated_cancelled_and_resumed() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let model = json!({"kind": "model", "id": "docs-3m", "path": repository("datasets/demo/model")});
    let model = ended(&server, &start(&server, model).await).await;
    assert_eq!(model["state"], "done", "{model}");
    assert!(model["progress"]["message"].as_str().unwrap().starts_with("docs-3m: gpt2"), "{model}");
    let source = repository("datasets/demo/sources/3-res");
    let source = json!({"kind": "source", "model": "docs-3m", "id": "3-res", "path": source});
    assert_eq!(ended(&server, &start(&server, source).await).await["state"], "done");

    let corpus = "SELECT repeat(''the iterator returns '' || n, 20) FROM generate_series(1, 600) t(n)";
    let sql = format!("CALL generate_dashboards('docs-3m', '3-res', '{corpus}', context_length => 32)");
    let id = start(&server, json!({"kind": "statement", "sql": sql})).await;
    let running = |job: &Value| job["progress"]["message"] == "running the model" && job["progress"]["done"] != 0;
    let half = until(&server, &id, running).await;
    assert_eq!(half["progress"]["unit"], "prompts");
    assert_eq!(half["progress"]["total"], 600, "{half}");

    let (status, cancelled) = ask(&server, Method::DELETE, &format!("/v1/jobs/{id}"), None, &[]).await;
    assert_eq!((status, &cancelled["state"]), (StatusCode::OK, &json!("cancelled")), "{cancelled}");
    assert_eq!(count(&server, "activations").await, 0, "nothing of it is to be seen");

    let (status, resumed) = ask(&server, Method::POST, &format!("/v1/jobs/{id}/resume"), None, &[]).await;
    assert_eq!((status, &resumed["state"]), (StatusCode::ACCEPTED, &json!("running")), "{resumed}");
    let done = ended(&server, &id).await;
    assert_eq!(done["state"], "done", "{done}");
    assert_ne!(count(&server, "activations").await, 0);
    let (status, refused) = ask(&server, Method::POST, &format!("/v1/jobs/{id}/resume"), None, &[]).await;
    assert_eq!(status, 409, "{refused}");
}

#[tokio::test]
async fn a_job_that_is_none_is_refused() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    for (request, status) in [
        (json!({"kind": "statement", "sql": "DROP TABLE features"}), 400),
        (json!({"kind": "statement", "sql": "COPY features TO '/tmp/latentdb-must-not-exist.csv'"}), 400),
        (json!({"kind": "dance"}), 400),
        (json!({"kind": "import"}), 400),
        (json!({"kind": "import", "from": "x", "to": "y"}), 400),
    ] {
        let (answered, body) = ask(&server, Method::POST, "/v1/jobs", Some(request.clone()), &[]).await;
        assert_eq!(answered, status, "{request}: {body}");
        assert!(body["error"].is_string());
    }
    // Two statements begin as one does.
    let two = json!({"kind": "statement", "sql": "CALL optimize('features'); DROP TABLE features"});
    let two = ended(&server, &start(&server, two).await).await;
    assert_eq!((&two["state"], &two["error"]["sqlstate"]), (&json!("failed"), &json!("42601")), "{two}");
    let nowhere = json!({"kind": "import", "from": "/no/such/place"});
    let failed = ended(&server, &start(&server, nowhere).await).await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("/no/such/place"), "{failed}");
    assert_eq!(ask(&server, Method::GET, "/v1/jobs/none", None, &[]).await.0, 404);
}

#[tokio::test]
async fn only_so_many_run_at_once() {
    let data = TempDir::new().unwrap();
    let server = Server::start(data.path());
    let model = json!({"kind": "model", "id": "docs-3m", "path": repository("datasets/demo/model")});
    assert_eq!(ended(&server, &start(&server, model).await).await["state"], "done");
    let source = repository("datasets/demo/sources/3-res");
    let source = json!({"kind": "source", "model": "docs-3m", "id": "3-res", "path": source});
    assert_eq!(ended(&server, &start(&server, source).await).await["state"], "done");
    // Each its own dashboards: a second run of the same ones is refused, and so would not keep its place.
    let long = |length: u32| {
        let corpus = "SELECT repeat(''x '' || n, 60) FROM generate_series(1, 20000) t(n)";
        let sql = format!("CALL generate_dashboards('docs-3m', '3-res', '{corpus}', context_length => {length})");
        json!({"kind": "statement", "sql": sql})
    };
    let mut running = Vec::new();
    for length in 30..34 {
        running.push(start(&server, long(length)).await);
    }
    let (status, refused) = ask(&server, Method::POST, "/v1/jobs", Some(long(34)), &[]).await;
    assert_eq!(status, 503, "{refused}");
    for id in running {
        let job = look(&server, &id).await;
        assert_eq!(job["state"], "running", "{job}");
    }
    // A server that stops stops its jobs.
    assert!(server.stop().success());
}

#[tokio::test]
async fn who_may_not_write_starts_no_jobs() {
    let data = TempDir::new().unwrap();
    let key = succeed(data.path(), &["key", "add"]).trim().to_owned();
    let job = || Some(json!({"kind": "statement", "sql": "CALL optimize('features')"}));
    let server = Server::start(data.path());
    let own = format!("http://{}", server.http.unwrap());
    for (headers, status) in [
        (vec![], 202),
        (vec![("origin", own.as_str())], 202),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("origin", "https://evil.example"), ("x-api-key", key.as_str())], 202),
        (vec![("host", "rebound.example"), ("origin", "http://rebound.example")], 421),
    ] {
        assert_eq!(ask(&server, Method::POST, "/v1/jobs", job(), &headers).await.0, status, "{headers:?}");
    }
    assert!(server.stop().success());

    let server = Server::start_with(data.path(), &["--require-key"]);
    assert_eq!(ask(&server, Method::POST, "/v1/jobs", job(), &[]).await.0, 401);
    assert_eq!(ask(&server, Method::GET, "/v1/jobs", None, &[]).await.0, 401);
    assert_eq!(ask(&server, Method::POST, "/v1/jobs", job(), &[("x-api-key", &key)]).await.0, 202);
    assert!(server.stop().success());

    let server = Server::start_with(data.path(), &["--read-only"]);
    let (status, refused) = ask(&server, Method::POST, "/v1/jobs", job(), &[]).await;
    assert_eq!((status, &refused["sqlstate"]), (StatusCode::FORBIDDEN, &json!("25006")), "{refused}");
}

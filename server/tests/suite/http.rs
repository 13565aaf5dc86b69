//! What the HTTP server promises.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, sample, succeed};

const SOURCE: &str = "tiny-stdlib/1-res-tiny";

/// A server over the sample, shared by the tests that only read.
fn shared() -> &'static Server {
    static SERVER: OnceLock<(TempDir, Server, String)> = OnceLock::new();
    &SERVER.get_or_init(start_over_sample).1
}

/// A server over a database of its own with the sample in it, and an API key.
fn start_over_sample() -> (TempDir, Server, String) {
    let data = TempDir::new().unwrap();
    succeed(data.path(), &["import", "neuronpedia", sample().to_str().unwrap()]);
    let key = succeed(data.path(), &["key", "add"]).trim().to_owned();
    let server = Server::start(data.path());
    (data, server, key)
}

/// A client that takes no detours, whatever the environment says.
fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn get(url: String) -> reqwest::Result<Response> {
    client().get(url).send().await
}

async fn post(server: &Server, sql: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client().post(server.url("/v1/sql")).body(sql.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_query_answers_json_ndjson_and_arrow() {
    let sql = "SELECT index, model_id FROM features WHERE index < 2 ORDER BY index";
    let plain = post(shared(), sql, &[]).await;
    assert_eq!(plain.headers()["content-type"], "application/json");
    let expected = json!({
        "columns": [{"name": "index", "type": "integer"}, {"name": "model_id", "type": "text"}],
        "rows": [[0, "tiny-stdlib"], [1, "tiny-stdlib"]],
        "row_count": 2,
    });
    assert_eq!(body(plain).await, expected);

    let lines = post(shared(), sql, &[("accept", "application/x-ndjson")]).await.text().await.unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, [json!({"index": 0, "model_id": "tiny-stdlib"}), json!({"index": 1, "model_id": "tiny-stdlib"})]);

    let arrow = post(shared(), sql, &[("accept", "application/vnd.apache.arrow.stream")]).await.bytes().await.unwrap();
    let batches: Vec<_> = StreamReader::try_new(arrow.as_ref(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 2);

    let parquet = post(shared(), sql, &[("accept", "application/vnd.apache.parquet")]).await.bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);

    let odd = post(shared(), sql, &[("accept", "image/png")]).await;
    assert_eq!(odd.status(), 406);
}

#[tokio::test]
async fn a_query_without_rows_is_answered_in_every_form() {
    let sql = "SELECT index FROM features WHERE index < 0";
    let plain = body(post(shared(), sql, &[]).await).await;
    assert_eq!(plain, json!({"columns": [{"name": "index", "type": "integer"}], "rows": [], "row_count": 0}));
    let lines = post(shared(), sql, &[("accept", "application/x-ndjson")]).await;
    assert_eq!((lines.status().as_u16(), lines.text().await.unwrap().as_str()), (200, ""));
    let arrow = post(shared(), sql, &[("accept", "application/vnd.apache.arrow.stream")]).await.bytes().await.unwrap();
    assert_eq!(StreamReader::try_new(arrow.as_ref(), None).unwrap().count(), 0);
    let parquet = post(shared(), sql, &[("accept", "application/vnd.apache.parquet")]).await.bytes().await.unwrap();
    let file = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    assert_eq!(file.schema().field(0).name(), "index");
    assert_eq!(file.build().unwrap().count(), 0);
}

#[tokio::test]
async fn parameters_reach_the_statement() {
    let request = json!({
        "sql": "SELECT count(*) AS n FROM features WHERE index < $1 AND source_id = $2",
        "parameters": [10, "1-res-tiny"],
    });
    let answer = post(shared(), &request.to_string(), &[("content-type", "application/json")]).await;
    assert_eq!(body(answer).await["rows"], json!([[10]]));

    let wrong = json!({"sql": "SELECT count(*) FROM features WHERE index < $1", "parameters": ["ten"]});
    let answer = post(shared(), &wrong.to_string(), &[("content-type", "application/json")]).await;
    assert_eq!(answer.status(), 400);
    assert!(body(answer).await["message"].as_str().unwrap().contains("$1"));
}

#[tokio::test]
async fn a_failed_statement_answers_its_sqlstate_and_a_fitting_status() {
    let cases = [
        ("SELEC 1", 400, "42601"),
        ("SELECT * FROM no_such_table", 404, "42P01"),
        ("SELECT no_such_column FROM features", 400, "42703"),
        ("SELECT 1; SELECT 2", 400, "22023"),
        ("", 400, "22023"),
    ];
    for (sql, status, sqlstate) in cases {
        let answer = post(shared(), sql, &[]).await;
        assert_eq!(answer.status(), status, "{sql}");
        let body = body(answer).await;
        assert_eq!(body["sqlstate"], sqlstate, "{sql}: {body}");
        assert_eq!(body["error"], body["message"]);
    }
}

#[tokio::test]
async fn an_answer_cut_short_is_not_well_formed() {
    // The fault lies far behind the first batch, so that rows have left when it is met.
    let sql = "SELECT 1 / (n - 900000) AS x FROM generate_series(1, 1000000) t(n)";
    for format in ["application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream"] {
        let answer = post(shared(), sql, &[("accept", format)]).await;
        assert_eq!(answer.status(), 200, "{format}");
        let whole = answer.bytes().await;
        assert!(whole.is_err(), "{format}: the connection must be cut");
    }
    // Rows wait for the rest of their row group there, so that this one fails before any left.
    let answer = post(shared(), sql, &[("accept", "application/vnd.apache.parquet")]).await;
    assert_eq!(body(answer).await["sqlstate"], "22012");
}

#[tokio::test]
async fn a_long_answer_streams_in_flat_memory() {
    let (_data, server, _) = start_over_sample();
    let before = resident_bytes(server.process_id());
    let sql = "SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 3000000) t(n)";
    let mut answer = post(&server, sql, &[("accept", "application/x-ndjson")]).await;
    let (mut bytes, mut peak) = (0, before);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes += chunk.len();
        peak = peak.max(resident_bytes(server.process_id()));
    }
    assert!(bytes > 300_000_000);
    assert!(peak < before + 150_000_000, "memory went from {before} to {peak}");
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let (_data, server, _) = start_over_sample();
    let sql =
        "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 100000) b(y) WHERE x * y % 7 = 3";
    let request = client().post(server.url("/v1/sql")).body(sql).timeout(Duration::from_millis(700)).send();
    assert!(request.await.is_err(), "the query outlasts the client");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = cpu_time(server.process_id());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let busy = cpu_time(server.process_id()) - busy;
    assert!(busy < Duration::from_millis(200), "the server went on for {busy:?}");
}

/// Time that `process` has computed for.
fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::test]
async fn a_statement_stops_at_its_timeout() {
    let sql =
        "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 100000) b(y) WHERE x * y % 7 = 3";
    let request = json!({"sql": sql, "timeout_ms": 200});
    let asked = Instant::now();
    let answer = post(shared(), &request.to_string(), &[("content-type", "application/json")]).await;
    assert_eq!(answer.status(), 408);
    assert_eq!(body(answer).await["sqlstate"], "57014");
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn writes_need_a_key_and_reads_do_not() {
    let (_data, server, key) = start_over_sample();
    let key = [("x-api-key", key.as_str())];
    for sql in [
        "CREATE TABLE t (id bigint)",
        "DELETE FROM features",
        "COPY (SELECT 1) TO '/tmp/latentdb-must-not-exist.csv'",
        "SET default_transaction_read_only = off",
    ] {
        let answer = post(&server, sql, &[("x-api-key", "unknown")]).await;
        assert_eq!(answer.status(), 403, "{sql}: {}", answer.text().await.unwrap());
    }
    assert!(!std::path::Path::new("/tmp/latentdb-must-not-exist.csv").exists());
    // These begin like queries; whatever they answer, nothing may be written.
    let insert = "INSERT INTO features (model_id, source_id, index) SELECT 'a', 'b', 1";
    for sql in [format!("EXPLAIN ANALYZE {insert}"), format!("WITH x AS (SELECT 1) {insert} FROM x")] {
        post(&server, &sql, &[]).await;
    }
    assert_eq!(body(post(&server, "SELECT count(*) FROM features", &[]).await).await["rows"], json!([[144]]));

    assert_eq!(post(&server, "CREATE TABLE t (id bigint)", &key).await.status(), 200);
    let inserted = body(post(&server, "INSERT INTO t VALUES (1), (2)", &key).await).await;
    assert_eq!(inserted, json!({"command": "INSERT", "rows_affected": 2}));
    assert_eq!(body(post(&server, "SELECT count(*) FROM t", &[]).await).await["rows"], json!([[2]]));
}

#[tokio::test]
async fn a_server_that_requires_a_key_answers_nothing_without() {
    let data = TempDir::new().unwrap();
    let key = succeed(data.path(), &["key", "add"]).trim().to_owned();
    let server = Server::start_with(data.path(), &["--require-key"]);
    assert_eq!(post(&server, "SELECT 1", &[]).await.status(), 401);
    assert_eq!(post(&server, "SELECT 1", &[("x-api-key", "wrong")]).await.status(), 401);
    assert_eq!(post(&server, "SELECT 1", &[("x-api-key", &key)]).await.status(), 200);
    for path in ["/metrics", "/api/feature/a/b/1"] {
        let answer = get(server.url(path)).await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        assert!(body(answer).await["error"].is_string());
    }
    assert_eq!(get(server.url("/healthz")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn with_a_certificate_http_is_https() {
    let pem = |name: &str| format!("{}/tests/suite/wire/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let data = TempDir::new().unwrap();
    let server =
        Server::start_with(data.path(), &["--tls-cert", &pem("localhost.crt"), "--tls-key", &pem("localhost.key")]);
    let address = format!("https://{}/healthz", server.http.unwrap());
    let client = Client::builder().no_proxy().danger_accept_invalid_certs(true).build().unwrap();
    assert_eq!(client.get(address).send().await.unwrap().status(), 200);
    assert!(get(server.url("/healthz")).await.is_err(), "plain HTTP is not answered besides");
}

#[tokio::test]
async fn pages_of_other_sites_read_features_and_run_no_sql() {
    let origin = ("origin", "https://evil.example");
    assert_eq!(post(shared(), "SELECT 1", &[origin]).await.status(), 403);
    let url = shared().url(&format!("/api/feature/{SOURCE}/0"));
    let feature = client().get(url).header(origin.0, origin.1).send().await.unwrap();
    assert_eq!(feature.headers()["access-control-allow-origin"], "*");
    let sql = post(shared(), "SELECT 1", &[]).await;
    assert!(sql.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn what_is_not_there_answers_json() {
    for (method, path, status) in [
        (Method::GET, "/nothing/here", 404),
        (Method::GET, "/api/feature/tiny-stdlib/1-res-tiny/100000", 404),
        (Method::GET, "/api/feature/tiny-stdlib/1-res-tiny/abc", 404),
        (Method::GET, "/api/feature/no-model/x/0", 404),
        (Method::DELETE, "/healthz", 405),
        (Method::GET, "/v1/sql", 405),
    ] {
        let answer = client().request(method, shared().url(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let body = body(answer).await;
        assert!(body["error"].is_string() && body["message"].is_string(), "{path}: {body}");
    }
    let large = "-".repeat(17 * 1024 * 1024);
    let answer = post(shared(), &large, &[]).await;
    assert_eq!(answer.status(), 413);
    assert!(body(answer).await["error"].is_string());
}

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    for path in ["/healthz", "/api/feature/tiny-stdlib/1-res-tiny/3"] {
        let plain = get(shared().url(path)).await.unwrap().bytes().await.unwrap();
        let slash = get(shared().url(&format!("{path}/"))).await.unwrap();
        assert_eq!(slash.status(), 200, "{path}/");
        assert_eq!(slash.bytes().await.unwrap(), plain);
    }
}

#[tokio::test]
async fn metrics_tell_of_memory_and_requests() {
    get(shared().url("/healthz")).await.unwrap();
    let metrics = get(shared().url("/metrics")).await.unwrap().text().await.unwrap();
    let value = |name: &str| -> f64 {
        let line =
            metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {metrics}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("latentdb_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"}") >= 1.0);
}

/// The lines of one kind of the sample, as SAEDashboard wrote them.
fn exported(kind: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(sample().join(kind)).unwrap() {
        let mut text = String::new();
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    lines
}

#[tokio::test]
async fn features_answer_what_their_export_says() {
    let mut activations: HashMap<i64, Vec<Value>> = HashMap::new();
    for line in exported("activations") {
        activations.entry(index_of(&line)).or_default().push(line);
    }
    for line in exported("features").into_iter().filter(|line| index_of(line) % 20 == 0) {
        let index = index_of(&line);
        let feature = body(get(shared().url(&format!("/api/feature/{SOURCE}/{index}"))).await.unwrap()).await;
        assert_eq!(feature["index"], index.to_string());
        for (name, value) in line.as_object().unwrap() {
            if name != "index" && name != "createdAt" && !value.is_null() {
                assert_close(&feature[name], value, name);
            }
        }
        assert_activations(&feature, &activations[&index]);
        assert_eq!(feature["model"]["id"], "tiny-stdlib");
        assert_eq!(feature["source"]["id"], "1-res-tiny");
        assert!(feature["sourceSet"]["name"].is_string());
        for list in ["lists", "comments", "explanations"] {
            assert!(feature[list].is_array(), "{list}");
        }
    }
}

/// The same activations, strongest first; `createdAt` aside, every member says what the export said.
fn assert_activations(feature: &Value, exported: &[Value]) {
    let answered = feature["activations"].as_array().unwrap();
    assert_eq!(answered.len(), exported.len());
    let maxima: Vec<f64> = answered.iter().map(|a| a["maxValue"].as_f64().unwrap()).collect();
    assert!(maxima.windows(2).all(|pair| pair[0] >= pair[1]), "{maxima:?}");
    for activation in answered {
        assert_eq!(activation["source"], "1-res-tiny", "the Python client asks for it");
        assert_eq!(activation["tokens"].as_array().unwrap().len(), activation["values"].as_array().unwrap().len());
        let found = exported.iter().any(|line| is_same_activation(activation, line));
        assert!(found, "not in the export: {activation}");
    }
}

/// Whether every member of the exported `line` that the answer keeps says the same.
fn is_same_activation(answered: &Value, line: &Value) -> bool {
    let kept = ["tokens", "values", "maxValueTokenIndex", "binMin", "binMax", "dfaValues", "dataSource"];
    let same = kept.iter().all(|name| line[name].is_null() || is_close(&answered[name], &line[name]));
    // The Python client refuses shares below 0, which exporters write for rows without an interval.
    let share = line["binContains"].as_f64().filter(|share| *share >= 0.0);
    same && share
        .map_or(answered["binContains"].is_null(), |_| is_close(&answered["binContains"], &line["binContains"]))
}

fn index_of(line: &Value) -> i64 {
    line["index"].as_i64().unwrap_or_else(|| line["index"].as_str().unwrap().parse().unwrap())
}

fn assert_close(got: &Value, expected: &Value, name: &str) {
    assert!(is_close(got, expected), "{name}: {got} is not {expected}");
}

/// Equal but for the rounding of 32-bit numbers.
fn is_close(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Number(got), Value::Number(expected)) => {
            let (got, expected) = (got.as_f64().unwrap(), expected.as_f64().unwrap());
            (got - expected).abs() <= 1e-6 * expected.abs().max(1.0)
        }
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len() && got.iter().zip(expected).all(|(got, expected)| is_close(got, expected))
        }
        (got, expected) => got == expected,
    }
}

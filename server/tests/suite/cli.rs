//! What the command line promises.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, latentdb, run, run_with_input, sample, succeed, text};

fn imported() -> TempDir {
    let data = TempDir::new().unwrap();
    succeed(data.path(), &["import", "neuronpedia", sample().to_str().unwrap()]);
    data
}

#[test]
fn every_command_has_help_with_examples() {
    let commands: &[&[&str]] = &[
        &[],
        &["serve"],
        &["sql"],
        &["import", "neuronpedia"],
        &["export", "neuronpedia"],
        &["check"],
        &["user", "add"],
        &["user", "password"],
        &["user", "remove"],
        &["key", "add"],
        &["key", "list"],
        &["key", "remove"],
    ];
    for command in commands {
        let output = latentdb(command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command:?}");
        assert!(text(&output.stdout).contains("Examples:"), "{command:?} has no examples");
    }
}

#[test]
fn wrong_usage_exits_2_and_failure_exits_1_with_a_message_on_stderr() {
    let data = TempDir::new().unwrap();
    let no_database = latentdb(&["sql", "SELECT 1"]).output().unwrap();
    assert_eq!(no_database.status.code(), Some(2));
    assert!(text(&no_database.stderr).contains("LATENTDB_DATA"));
    assert_eq!(latentdb(&["frobnicate"]).output().unwrap().status.code(), Some(2));

    let failed = run(data.path(), &["sql", "SELECT * FROM no_such_table"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stdout).is_empty());
    assert!(text(&failed.stderr).contains("error: "), "{}", text(&failed.stderr));
    assert!(text(&failed.stderr).contains("no_such_table"));
}

#[test]
fn sql_prints_each_format() {
    let data = TempDir::new().unwrap();
    let sql = "SELECT 1 AS id, 'a,b' AS name, CAST(NULL AS text) AS nothing, ARRAY[1, 2] AS list";
    let print = |format: &str| succeed(data.path(), &["sql", sql, "--format", format]);
    assert_eq!(print("csv"), "id,name,nothing,list\n1,\"a,b\",,\"[1,2]\"\n");
    let row = json!({"id": 1, "name": "a,b", "nothing": null, "list": [1, 2]});
    assert_eq!(serde_json::from_str::<Value>(&print("ndjson")).unwrap(), row);
    assert_eq!(serde_json::from_str::<Value>(&print("json")).unwrap(), json!([row]));
    let table = print("table");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].contains("id") && lines[0].contains("nothing"));
    assert!(lines[2].contains("a,b") && lines[2].contains("[1,2]"));
}

#[test]
fn an_empty_result_is_valid_in_each_format() {
    let data = TempDir::new().unwrap();
    let print = |format: &str| succeed(data.path(), &["sql", "SELECT 1 AS id WHERE false", "--format", format]);
    assert_eq!(print("csv"), "id\n");
    assert_eq!(print("ndjson"), "");
    assert_eq!(serde_json::from_str::<Value>(&print("json")).unwrap(), json!([]));
    assert!(print("table").contains("id"));
}

#[test]
fn statements_come_from_arguments_files_and_pipes() {
    let data = TempDir::new().unwrap();
    let script = "CREATE TABLE t (id bigint PRIMARY KEY, name text);\nINSERT INTO t VALUES (1, 'x;y'), (2, 'z');\n";
    let file = data.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let data = data.path().join("db");
    succeed(&data, &["sql", "--file", file.to_str().unwrap()]);
    let piped = run_with_input(&data, &["sql", "--format", "csv"], "SELECT * FROM t ORDER BY id;");
    assert_eq!(text(&piped.stdout), "id,name\n1,x;y\n2,z\n", "{}", text(&piped.stderr));
    assert_eq!(succeed(&data, &["sql", "SELECT count(*) AS n FROM t", "--format", "csv"]), "n\n2\n");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let data = TempDir::new().unwrap();
    let mut child = latentdb(&["sql", "SELECT n FROM generate_series(1, 10000000) t(n)", "--format", "csv"])
        .env("LATENTDB_DATA", data.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 6];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).matches("error").count(), 0);
}

#[test]
fn a_second_process_reads_and_says_so() {
    let data = TempDir::new().unwrap();
    succeed(data.path(), &["sql", "CREATE TABLE t (id bigint)"]);
    let _server = Server::start(data.path());
    let second = run(data.path(), &["sql", "SELECT count(*) AS n FROM t", "--format", "csv"]);
    assert_eq!(text(&second.stdout), "n\n0\n", "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("read-only"));
    let write = run(data.path(), &["sql", "INSERT INTO t VALUES (1)"]);
    assert_eq!(write.status.code(), Some(1));
    let import = run(data.path(), &["import", "neuronpedia", sample().to_str().unwrap()]);
    assert_eq!(import.status.code(), Some(1), "an import needs the lock");
}

#[test]
fn an_import_checks_and_exports_again() {
    let data = imported();
    let counts = succeed(
        data.path(),
        &["sql", "SELECT (SELECT count(*) FROM features), (SELECT count(*) FROM activations)", "--format", "csv"],
    );
    assert_eq!(counts.lines().nth(1), Some("144,1992"));
    succeed(data.path(), &["check"]);

    let again = run(data.path(), &["import", "neuronpedia", sample().to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("replace"), "{}", text(&again.stderr));

    let out = TempDir::new().unwrap();
    succeed(data.path(), &["export", "neuronpedia", "tiny-stdlib/1-res-tiny", out.path().to_str().unwrap()]);
    let copy = TempDir::new().unwrap();
    succeed(copy.path(), &["import", "neuronpedia", out.path().to_str().unwrap()]);
    let sql = "SELECT index, rank, tokens, acts FROM activation_records ORDER BY index, rank";
    let rows = |data: &Path| succeed(data, &["sql", sql, "--format", "ndjson"]);
    assert!(rows(data.path()) == rows(copy.path()), "export and import changed the activations");
}

#[test]
fn check_names_the_file_that_is_damaged() {
    let data = imported();
    let file = largest_data_file(data.path(), "activations");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte ^= 0xff;
    }
    std::fs::write(&file, bytes).unwrap();
    let check = run(data.path(), &["check"]);
    assert_eq!(check.status.code(), Some(1));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        text(&check.stdout).contains("activations") && text(&check.stdout).contains(name),
        "{}",
        text(&check.stdout)
    );
    assert!(text(&check.stderr).contains("error: "), "{}", text(&check.stderr));
}

fn largest_data_file(data: &Path, table: &str) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    let mut largest = (0, PathBuf::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let size = entry.metadata().unwrap().len();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet")
                && path.components().any(|part| part.as_os_str() == table)
                && size > largest.0
            {
                largest = (size, path);
            }
        }
    }
    assert!(largest.0 > 0, "{table} has no data file");
    largest.1
}

#[test]
fn keys_are_listed_and_removed_by_their_hash() {
    let data = TempDir::new().unwrap();
    let key = succeed(data.path(), &["key", "add", "--user", "ana", "--label", "notebook"]);
    assert!(key.starts_with("ldb_"));
    let stored = succeed(data.path(), &["sql", "SELECT key_hash FROM api_keys", "--format", "csv"]);
    let hash = stored.lines().nth(1).unwrap();
    assert!(!stored.contains(key.trim()), "the key itself must not be stored");
    assert!(succeed(data.path(), &["key", "list"]).contains("notebook"));
    assert_eq!(run(data.path(), &["key", "remove", "zzzzzz"]).status.code(), Some(1));
    succeed(data.path(), &["key", "remove", &hash[..12]]);
    assert_eq!(succeed(data.path(), &["sql", "SELECT count(*) AS n FROM api_keys", "--format", "csv"]), "n\n0\n");
}

#[test]
fn serve_stops_on_sigterm_and_gives_the_database_back() {
    let data = TempDir::new().unwrap();
    let ready = data.path().join("ready");
    let database = data.path().join("db");
    let server = Server::start_with(&database, &["--ready-file", ready.to_str().unwrap()]);
    let line = std::fs::read_to_string(&ready).unwrap();
    assert_eq!(line.trim(), format!("listening pg={} http={}", server.pg.unwrap(), server.http.unwrap()));
    let asked = Instant::now();
    assert!(server.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "idle servers stop at once");
    succeed(&database, &["sql", "CREATE TABLE t (id bigint)"]);
}

#[test]
fn wrong_settings_refuse_to_start() {
    let data = TempDir::new().unwrap();
    let config = data.path().join("latentdb.toml");
    let start = |content: &str, more: &[&str]| {
        std::fs::write(&config, content).unwrap();
        let mut arguments = vec!["serve", "--pg", "127.0.0.1:0", "--config", config.to_str().unwrap()];
        arguments.extend_from_slice(more);
        let output = run(&data.path().join("db"), &arguments);
        assert!(!output.status.success(), "{content} {more:?}");
        text(&output.stderr)
    };
    assert!(start("[http]\nlisten_on = \"127.0.0.1:0\"", &[]).contains("listen_on"));
    assert!(start("[engine]\nmemory = \"plenty\"", &["--http", "off"]).contains("plenty"));
    assert!(start("", &["--http", "off", "--tls-cert", "none.pem", "--tls-key", "none.pem"]).contains("none.pem"));
    assert!(start("", &["--http", "off", "--require-tls"]).contains("--tls-cert"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(start("", &["--http", &address]).contains(&address));
}

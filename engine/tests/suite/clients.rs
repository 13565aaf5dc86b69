//! What well-known clients ask at start and for their navigators, replayed from `tests/clients`.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::arrow;
use latentdb_engine::{Engine, EngineOptions, Error, Session};

async fn session(folder: &tempfile::TempDir) -> Session {
    let path = folder.path().to_str().expect("a path in UTF-8");
    let engine = Engine::open(path, EngineOptions::default()).await.expect("a new database");
    engine.session("ana")
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let options = FormatOptions::default().with_null("");
    for statement in session.parse(sql)? {
        let Ok(stream) = session.run(&statement).await?.into_rows() else { continue };
        for batch in stream.collect().await? {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a printable column"))
                .collect();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
                lines.push(cells.join("|"));
            }
        }
    }
    Ok(lines)
}

async fn one(session: &Session, sql: &str) -> String {
    rows(session, sql).await.expect(sql).join("\n")
}

/// Statements of a recorded client, with the object ids that it would have been told.
async fn recorded(session: &Session, file: &std::path::Path) -> Vec<String> {
    let mut text = std::fs::read_to_string(file).expect("a readable file");
    for name in ["features", "activation_records"] {
        let oid = one(session, &format!("SELECT oid FROM pg_class WHERE relname = '{name}'")).await;
        text = text.replace(&format!("{{{name}}}"), &oid);
    }
    let has_words = |statement: &&str| statement.lines().any(|line| !line.is_empty() && !line.starts_with("--"));
    text.split("\n;\n").filter(has_words).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_statement_of_every_client_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = session(&folder).await;
    let mut failures = Vec::new();
    let mut replayed = 0;
    let clients = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    for entry in std::fs::read_dir(clients).expect("the recorded clients") {
        let file = entry.expect("a file").path();
        for statement in recorded(&session, &file).await {
            replayed += 1;
            if let Err(error) = rows(&session, &statement).await {
                failures.push(format!("{}: {error}\n{statement}", file.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {replayed} failed\n{}", failures.len(), failures.join("\n\n"));
    assert!(replayed > 90, "only {replayed} statements were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn object_ids_are_the_same_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids = "SELECT oid, relname FROM pg_class ORDER BY 1";
    let before = {
        let path = folder.path().to_str().expect("a path");
        let engine = Engine::open(path, EngineOptions::default()).await.expect("a new database");
        let before = one(&engine.session("ana"), ids).await;
        engine.close().await.expect("closed");
        before
    };
    assert_eq!(before, one(&session(&folder).await, ids).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_tells_comments_keys_and_who_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = session(&folder).await;
    let comments = one(
        &session,
        "SELECT obj_description(c.oid, 'pg_class'), col_description(c.oid, 1) FROM pg_class c WHERE relname = 'features'",
    )
    .await;
    assert!(comments.split('|').all(|comment| !comment.is_empty()), "{comments}");
    let key =
        one(&session, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'features_pkey'").await;
    assert_eq!(key, "PRIMARY KEY (model_id, source_id, index)");
    assert_eq!(one(&session, "SELECT current_user").await, "ana");
    let view = one(&session, "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relname = 'activation_records'").await;
    assert!(view.contains("densify"), "{view}");
}

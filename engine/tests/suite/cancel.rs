//! Statements stop when they are told to.

use std::time::{Duration, Instant};

use latentdb_engine::{Engine, EngineOptions, ErrorKind, Session};

/// Far more rows than anyone waits for.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";

async fn session() -> (tempfile::TempDir, Session) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db");
    let engine = Engine::open(&location.to_string_lossy(), EngineOptions::default()).await.expect("a new database");
    (directory, engine.session("ana"))
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_a_running_query_within_200_ms() {
    let (_directory, session) = session().await;
    let other = session.clone();
    let mut rows = session.query(ENDLESS).await.expect("the query starts");
    let waiting = tokio::spawn(async move {
        let ended = rows.next().await;
        (Instant::now(), ended)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = Instant::now();
    other.cancel();
    let (stopped, ended) = waiting.await.expect("the reader ends");
    assert!(stopped - asked < Duration::from_millis(200), "{:?}", stopped - asked);
    let error = ended.expect("an answer").expect_err("an error");
    assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::Cancelled, "57014"));
    let rows = session.query("SELECT 1").await.expect("the session goes on").collect().await.expect("a row");
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_covers_execution() {
    let (_directory, session) = session().await;
    session.set("statement_timeout", "300ms").expect("a setting");
    let began = Instant::now();
    let error = session.query(ENDLESS).await.expect("the query starts").collect().await.expect_err("it is stopped");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(error.message(), "canceling statement due to statement timeout");
}

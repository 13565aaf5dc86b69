//! What storage promises: nothing acknowledged is lost, nothing unfinished is seen, upkeep changes no rows.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use latentdb_engine::{Engine, EngineOptions, ErrorKind, Result, Session};

async fn open(directory: &Path) -> Engine {
    let location = directory.join("db").to_string_lossy().into_owned();
    Engine::open(&location, EngineOptions::default()).await.expect("the database opens")
}

/// A second process, which only reads.
async fn follow(directory: &Path) -> Engine {
    let location = directory.join("db").to_string_lossy().into_owned();
    let options = EngineOptions { read_only: true, ..EngineOptions::default() };
    Engine::open(&location, options).await.expect("the database opens")
}

async fn run(session: &Session, sql: &str) -> Result<()> {
    for statement in session.parse(sql)? {
        if let Ok(rows) = session.run(&statement).await?.into_rows() {
            rows.collect().await?;
        }
    }
    Ok(())
}

async fn number(session: &Session, sql: &str) -> i64 {
    let batches = session.query(sql).await.expect("the query runs").collect().await.expect("rows");
    let batch = batches.iter().find(|batch| batch.num_rows() == 1).expect("one row");
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_are_all_kept_and_share_commits() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    run(&engine.session("ana"), "CREATE TABLE t (id bigint, who bigint)").await.expect("a table");
    let writers = (0..64_i64).map(|who| {
        let engine = engine.clone();
        tokio::spawn(async move { run(&engine.session("ana"), &format!("INSERT INTO t VALUES (1, {who})")).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("the writer ends").expect("the insert succeeds");
    }
    let session = engine.session("ana");
    assert_eq!(number(&session, "SELECT count(DISTINCT who) FROM t").await, 64);
    let commits = std::fs::read_dir(directory.path().join("db/tables/t/_delta_log")).expect("a log").count();
    assert!(commits < 64, "{commits} log entries for 64 concurrent appends");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_transactions_that_rewrite_the_same_rows_do_not_both_commit() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let (ana, ben) = (engine.session("ana"), engine.session("ben"));
    run(&ana, "CREATE TABLE t (id bigint, v bigint); INSERT INTO t VALUES (1, 0)").await.expect("a table");
    run(&ana, "BEGIN; UPDATE t SET v = v + 1").await.expect("ana's update");
    run(&ben, "BEGIN; UPDATE t SET v = v + 10").await.expect("ben's update");
    run(&ana, "COMMIT").await.expect("the first commit succeeds");
    let error = run(&ben, "COMMIT").await.expect_err("the second commit fails");
    assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::Conflict, "40001"));
    assert_eq!(number(&ana, "SELECT v FROM t").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_two_tables_is_seen_whole_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let (writer, reader) = (engine.session("ana"), engine.session("ben"));
    run(&writer, "CREATE TABLE a (v bigint); CREATE TABLE b (v bigint)").await.expect("tables");
    let writing = tokio::spawn(async move {
        for round in 0..20 {
            let sql = format!("BEGIN; INSERT INTO a VALUES ({round}); INSERT INTO b VALUES ({round}); COMMIT");
            run(&writer, &sql).await.expect("the transaction commits");
        }
    });
    while !writing.is_finished() {
        let difference = number(&reader, "SELECT (SELECT count(*) FROM a) - (SELECT count(*) FROM b)").await;
        assert_eq!(difference, 0);
    }
    writing.await.expect("the writer ends");
    let left = std::fs::read_dir(directory.path().join("db/_latentdb/journal")).expect("a journal").count();
    assert_eq!(left, 0, "journal entries left after their commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_crash_interrupted_is_finished_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE a (v bigint); CREATE TABLE b (v bigint); INSERT INTO b VALUES (7)")
        .await
        .expect("tables");
    // As a crash after the journal entry leaves it: b's rows are to go, no table has committed its part.
    let log = directory.path().join("db/tables/b/_delta_log");
    let newest = std::fs::read_to_string(log.join("00000000000000000001.json")).expect("b's commit");
    let add = newest.lines().find(|line| line.starts_with("{\"add\"")).expect("b's file");
    let path = add.split("\"path\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its path");
    engine.close().await.expect("the database closes");
    drop((engine, session));
    let journal = directory.path().join("db/_latentdb/journal");
    std::fs::create_dir_all(&journal).expect("a journal");
    let remove = format!("{{\"remove\":{{\"path\":\"{path}\",\"dataChange\":true,\"deletionTimestamp\":1}}}}");
    let entry = format!(
        "{{\"sequence\":4102444800000000,\"label\":\"test\",\"parts\":[{{\"table\":\"b\",\"actions\":[{remove}]}}]}}"
    );
    std::fs::write(journal.join("00004102444800000000.json"), entry).expect("an entry");
    let reader = follow(directory.path()).await;
    assert_eq!(number(&reader.session("ben"), "SELECT count(*) FROM b").await, 0, "it is certain to happen");
    assert!(reader.check(&|_, _, _| {}).await.expect("the check runs").damages.is_empty());
    for _ in 0..2 {
        let engine = open(directory.path()).await;
        assert_eq!(number(&engine.session("ana"), "SELECT count(*) FROM b").await, 0);
        assert_eq!(std::fs::read_dir(&journal).expect("a journal").count(), 0);
        engine.close().await.expect("the database closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_in_other_processes_see_a_change_of_several_tables_whole() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let writer = engine.session("ana");
    run(&writer, "CREATE TABLE a (v bigint); CREATE TABLE b (v bigint)").await.expect("tables");
    let following = follow(directory.path()).await;
    let reader = following.session("ben");
    let writing = tokio::spawn(async move {
        for round in 0..30 {
            let sql = format!("BEGIN; INSERT INTO a VALUES ({round}); INSERT INTO b VALUES ({round}); COMMIT");
            run(&writer, &sql).await.expect("the transaction commits");
        }
        run(&writer, "CREATE TABLE c (v bigint); INSERT INTO c VALUES (1); DROP TABLE a").await.expect("tables change");
    });
    let mut looks = 0;
    while !writing.is_finished() {
        let sql = "SELECT (SELECT count(*) FROM a) - (SELECT count(*) FROM b)";
        let Ok(rows) = reader.query(sql).await else { break };
        let batches = rows.collect().await.expect("rows");
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 0);
        looks += 1;
    }
    writing.await.expect("the writer ends");
    assert!(looks > 0);
    assert_eq!(number(&reader, "SELECT count(*) FROM b").await, 30);
    assert_eq!(number(&reader, "SELECT count(*) FROM c").await, 1, "a new table is found");
    assert!(reader.query("SELECT * FROM a").await.is_err(), "a dropped table is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_never_changes_rows_and_keeps_what_is_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE t (id bigint, v bigint)").await.expect("a table");
    for round in 0..8 {
        run(&session, &format!("INSERT INTO t SELECT i, i * {round} FROM generate_series(1, 50) AS g(i)"))
            .await
            .expect("rows");
    }
    run(&session, "DELETE FROM t WHERE id = 50").await.expect("a delete");
    let sum = "SELECT sum(id * 31 + v) FROM t";
    let before = number(&session, sum).await;
    let reader = engine.session("ben");
    run(&reader, "BEGIN; SELECT count(*) FROM t").await.expect("a snapshot");
    run(&session, "OPTIMIZE t; VACUUM t RETAIN 0 HOURS").await.expect("upkeep");
    assert_eq!(number(&session, sum).await, before);
    assert_eq!(number(&reader, sum).await, before, "files of a snapshot that is still read were deleted");
    run(&reader, "COMMIT").await.expect("the reader ends");
    let report = engine.check(&|_, _, _| {}).await.expect("the check runs");
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE t (id bigint); INSERT INTO t SELECT i FROM generate_series(1, 1000) AS g(i)")
        .await
        .expect("rows");
    let folder = directory.path().join("db/tables/t");
    let file = std::fs::read_dir(&folder)
        .expect("the table's folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .expect("a data file");
    let mut bytes = std::fs::read(&file).expect("its bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("the damage");
    let report = engine.check(&|_, _, _| {}).await.expect("the check runs");
    assert_eq!(report.damages.len(), 1, "{report:?}");
    assert_eq!(report.damages[0].table, "t");
}

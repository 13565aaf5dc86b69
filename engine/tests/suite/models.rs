//! What calls of models promise: few requests, none that nobody looks at, and the answers a plain function gives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::{Engine, EngineOptions, Error, ErrorKind, Result, ScalarValue, Session};

use crate::fake_model::Fake;

struct Database {
    _directory: tempfile::TempDir,
    engine: Engine,
    session: Session,
    model: Arc<Fake>,
}

async fn database() -> Database {
    with_model(Fake::default()).await
}

/// A database with table `p(id, text, kind)`: 100 rows, ten texts, ten rows of each.
async fn with_model(model: Fake) -> Database {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db").to_string_lossy().into_owned();
    let engine = Engine::open(&location, EngineOptions::default()).await.expect("a database");
    let session = engine.session("ana");
    let model = Arc::new(model);
    engine.attach_models(Arc::<Fake>::clone(&model)).expect("the model is attached");
    let setup = "CREATE TABLE p (id bigint, text text, kind bigint); \
        INSERT INTO p SELECT i, 'text ' || repeat('x', i % 10), i % 4 FROM generate_series(0, 99) AS g(i)";
    run(&session, setup).await.expect("a table");
    Database { _directory: directory, engine, session, model }
}

async fn run(session: &Session, sql: &str) -> Result<()> {
    for statement in session.parse(sql)? {
        if let Ok(rows) = session.run(&statement).await?.into_rows() {
            rows.collect().await?;
        }
    }
    Ok(())
}

fn lines_of(batches: &[arrow::array::RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

async fn try_lines(session: &Session, sql: &str) -> Result<Vec<String>> {
    Ok(lines_of(&session.query(sql).await?.collect().await?))
}

async fn lines(session: &Session, sql: &str) -> Vec<String> {
    try_lines(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn failure(session: &Session, sql: &str) -> Error {
    try_lines(session, sql).await.expect_err(sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_prompts_is_batched_and_equal_prompts_are_asked_once() {
    let db = database().await;
    let sums = lines(&db.session, "SELECT sum(weigh('m', text)) FROM p").await;
    assert_eq!(sums, ["950"]);
    let (requests, rows) = db.model.take();
    assert_eq!(rows, 10);
    assert!(requests <= 3, "{requests}");
    lines(&db.session, "SELECT weigh('m', text || id) FROM p").await;
    let (requests, rows) = db.model.take();
    assert_eq!(rows, 100);
    assert!(requests <= 6, "{requests}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_cut_by_tokens() {
    let db = with_model(Fake { budget: Some(20), ..Fake::default() }).await;
    lines(&db.session, "SELECT weigh('m', repeat('y', 36) || id) FROM p").await;
    assert_eq!(db.model.rows(), 100);
    assert!(db.model.largest.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_many_rows_sends_few() {
    let db = database().await;
    run(&db.session, "CREATE TABLE many (id bigint, text text)").await.expect("a table");
    run(&db.session, "INSERT INTO many SELECT i, 'row number ' || i FROM generate_series(1, 10000) AS g(i)")
        .await
        .expect("rows");
    for (sql, most) in [
        ("SELECT m.id, w.word FROM many m, words('m', m.text) w LIMIT 5", 8),
        ("SELECT weigh('m', text) FROM many LIMIT 5", 5),
        ("SELECT id FROM many WHERE weigh('m', text) > 3 LIMIT 5", 24),
        ("SELECT m.id FROM many m, words('m', m.text) w WHERE w.rank = 2 LIMIT 5", 24),
        ("SELECT m.id FROM many m, words('m', m.text) w JOIN p ON p.id = w.rank LIMIT 5", 24),
    ] {
        assert_eq!(lines(&db.session, sql).await.len(), 5, "{sql}");
        let rows = db.model.rows();
        assert!(rows <= most, "{rows}: {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_around_a_call_are_guards() {
    let db = database().await;
    for (sql, rows) in [
        ("SELECT CASE WHEN id < 3 THEN weigh('m', text || id) END FROM p", 3),
        ("SELECT CASE kind WHEN 1 THEN 0 WHEN 2 THEN weigh('m', text || id) ELSE 1 END FROM p", 25),
        ("SELECT CASE WHEN id < 98 THEN 0 ELSE weigh('m', text || id) END FROM p", 2),
        ("SELECT CASE WHEN weigh('m', text) = 6 THEN weigh('n', text || id) END FROM p", 20),
        ("SELECT id < 5 AND weigh('m', text || id) > 3 FROM p", 5),
        ("SELECT weigh('m', text || id) > 3 AND id < 5 FROM p", 5),
        ("SELECT id >= 5 OR weigh('m', text || id) > 3 FROM p", 5),
        ("SELECT coalesce(CASE WHEN id >= 5 THEN 1 END, weigh('m', text || id)) FROM p", 5),
        ("SELECT id FROM p WHERE weigh('m', text || id) > 3 AND id < 5", 5),
        ("SELECT sum(weigh('m', text || id)) FILTER (WHERE id < 5) FROM p", 5),
        ("SELECT CASE WHEN id = 1 THEN weigh('m', text) WHEN id = 2 THEN weigh('m', text) END FROM p", 2),
    ] {
        lines(&db.session, sql).await;
        assert_eq!(db.model.rows(), rows, "{sql}");
    }
    let unharmed = "SELECT CASE WHEN id > 0 THEN weigh('m', 'b' || (1 / id)) ELSE 0 END FROM p";
    lines(&db.session, unharmed).await;
    lines(&db.session, "SELECT CASE WHEN id < 0 THEN weigh('m', 'bad') ELSE 0 END FROM p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_in_select_where_and_order_by_is_computed_once() {
    let db = database().await;
    let sql = "SELECT id, weigh('m', text || id) AS w, weigh('m', text || id) + 1 FROM p \
        WHERE weigh('m', text || id) > 7 ORDER BY weigh('m', text || id), id";
    lines(&db.session, sql).await;
    assert_eq!(db.model.rows(), 100);
    let shared =
        "SELECT weigh('m', text || id) FROM p WHERE weigh('m', text || id) > 2 AND shout('m', text || id) <> ''";
    lines(&db.session, shared).await;
    let plan = lines(&db.session, &format!("EXPLAIN {shared}")).await.join("\n");
    assert_eq!(db.model.rows(), 200, "each of two functions is asked once about an argument they share\n{plan}");
    lines(&db.session, "SELECT dream(text), dream(text) FROM p").await;
    assert_eq!(db.model.rows(), 200, "a volatile function is asked for every call and row");
}

/// Queries with calls everywhere, and the same with `length(text)` in the place of `weigh('m', text)`.
const EVERYWHERE: &[&str] = &[
    "SELECT id, {weigh(text)} FROM p ORDER BY id",
    "SELECT id FROM p WHERE {weigh(text)} > 9 ORDER BY id",
    "SELECT id FROM p ORDER BY {weigh(text)} DESC, id LIMIT 7",
    "SELECT {weigh(text)}, count(*) FROM p GROUP BY {weigh(text)} ORDER BY 1",
    "SELECT {weigh(text)} AS w, count(*) FROM p GROUP BY w HAVING max({weigh(text)}) > 8 ORDER BY w",
    "SELECT {weigh(text)}, kind, count(*) FROM p GROUP BY GROUPING SETS (({weigh(text)}), (kind)) ORDER BY 1, 2",
    "SELECT {weigh(text)}, kind, count(*) FROM p GROUP BY ROLLUP ({weigh(text)}, kind) ORDER BY 1, 2",
    "SELECT a.id, b.id FROM p a JOIN p b ON {weigh(a.text)} = b.id ORDER BY 1, 2",
    "SELECT a.id, b.id FROM p a LEFT JOIN p b ON {weigh(b.text)} = a.id AND b.id < 50 ORDER BY 1, 2",
    "SELECT a.id, b.id FROM p a JOIN p b ON {weigh(a.text || b.text)} > 27 AND a.id < 20 ORDER BY 1, 2",
    "SELECT a.id FROM p a JOIN p b ON a.id = b.id WHERE {weigh(a.text)} + {weigh(b.text)} > 24 ORDER BY 1",
    "SELECT id, sum({weigh(text)}) OVER (PARTITION BY {weigh(text)} ORDER BY id) FROM p ORDER BY id",
    "SELECT id, rank() OVER (ORDER BY {weigh(text)}, id) FROM p ORDER BY id",
    "SELECT DISTINCT {weigh(text)} FROM p ORDER BY 1",
    "SELECT DISTINCT ON (kind) kind, {weigh(text)} FROM p ORDER BY kind, {weigh(text)}, id",
    "SELECT {weigh(text)} FROM p WHERE id < 3 UNION ALL SELECT {weigh(text || 'z')} FROM p WHERE id > 97 ORDER BY 1",
    "SELECT {weigh(text)} FROM p UNION SELECT kind FROM p ORDER BY 1",
    "SELECT id FROM p WHERE id IN (SELECT {weigh(text)} FROM p) ORDER BY 1",
    "SELECT id FROM p WHERE {weigh(text)} = (SELECT max({weigh(text)}) FROM p) ORDER BY 1",
    "SELECT id FROM p a WHERE EXISTS (SELECT 1 FROM p b WHERE b.id = {weigh(a.text)} AND b.kind = a.kind) ORDER BY 1",
    "SELECT id FROM p a WHERE NOT EXISTS (SELECT 1 FROM p b WHERE {weigh(b.text)} = a.id) ORDER BY 1",
    "WITH w AS (SELECT id, {weigh(text)} AS n FROM p) SELECT a.n, b.n FROM w a JOIN w b ON a.id = b.id + 1 ORDER BY 1, 2",
    "SELECT v, {weigh(v)} FROM (VALUES ('a'), ('bb'), (NULL)) AS t(v) ORDER BY 1",
    "SELECT * FROM (VALUES ({weigh('a')}, 1), ({weigh('bb')}, 2), (7, 3)) AS t(x, y) ORDER BY 2",
    "SELECT {weigh({shout(text)})} FROM p ORDER BY 1",
    "SELECT CASE WHEN {weigh(text)} > 9 THEN {shout(text)} WHEN kind = 1 THEN 'one' END FROM p ORDER BY id",
    "SELECT count({weigh(nullif(text, 'text '))}), count(*) FROM p",
    "SELECT max({weigh(text)}) FILTER (WHERE {weigh(text)} < 9), array_agg({shout(text)} ORDER BY id) FROM p WHERE id < 4",
    "SELECT a.id, w.n FROM p a, LATERAL (SELECT {weigh(a.text)} AS n) w ORDER BY 1",
    "SELECT unnest(ARRAY[{weigh(text)}, id]) FROM p WHERE id < 3 ORDER BY 1",
    "SELECT {weigh('constant')}",
    "SELECT id FROM p WHERE {weigh('constant')} = 8 AND id < 2 ORDER BY 1",
    "SELECT sum(n) FROM (SELECT {weigh(text)} AS n, id FROM p ORDER BY id LIMIT 10 OFFSET 5) t",
    "SELECT s.id FROM (SELECT id, {weigh(text)} AS n FROM p) s WHERE s.n > 12 ORDER BY 1",
];

/// `{weigh(x)}` by the model, or by a function that gives the same.
fn written(query: &str, by_model: bool) -> String {
    let (weigh, shout) = if by_model { ("weigh('m', ", "shout('m', ") } else { ("octet_length(", "concat('!', ") };
    let mut sql = query.replace("{weigh(", weigh).replace("{shout(", shout).replace(")}", ")");
    if !by_model {
        // upper(x) || '!' with as many brackets as shout(x).
        sql = sql.replace("concat('!', ", "upper('' || ");
    }
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_anywhere_give_what_plain_functions_give() {
    let db = database().await;
    for query in EVERYWHERE {
        let expected = lines(&db.session, &written(query, false)).await;
        let by_model = written(query, true).replace("shout('m', ", "shout('m', suffix => '', text => ");
        assert_eq!(lines(&db.session, &by_model).await, expected, "{by_model}");
        assert!(db.model.rows() > 0, "{by_model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_one_side_of_a_join_is_asked_about_rows_that_join() {
    let db = database().await;
    let sql = "SELECT a.id FROM p a JOIN p b ON a.id = b.id + 90 WHERE weigh('m', a.text || a.id) > 3";
    assert_eq!(lines(&db.session, sql).await.len(), 10);
    let plan = lines(&db.session, &format!("EXPLAIN {sql}")).await.join("\n");
    assert_eq!(db.model.rows(), 10, "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stand_in_from_beside_a_table() {
    let db = database().await;
    let words =
        lines(&db.session, "SELECT p.id, w.* FROM p, words('m', p.text, top_k => 2) w WHERE p.id < 2 ORDER BY 1, 2")
            .await;
    assert_eq!(words, ["0|1|text", "1|1|text", "1|2|x"]);
    run(&db.session, "INSERT INTO p VALUES (100, NULL, 0), (101, '', 0)").await.expect("rows");
    let kept =
        "SELECT p.id, w.word FROM p LEFT JOIN LATERAL words('m', p.text) w ON true WHERE p.id >= 99 ORDER BY 1, 2";
    assert_eq!(lines(&db.session, kept).await, ["99|text", "99|xxxxxxxxx", "100|∅", "101|∅"]);
    assert_eq!(lines(&db.session, "SELECT * FROM words('m', 'a b')").await, ["1|a", "2|b"]);
    assert_eq!(lines(&db.session, "SELECT words('m', 'a b')[2]['word']").await, ["b"]);
    let nested = "SELECT v.word FROM words('m', 'a b') w, words('m', w.word || ' c') v ORDER BY 1";
    assert_eq!(lines(&db.session, nested).await, ["a", "b", "c", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_in_a_required_argument_gives_null_and_asks_nothing() {
    let db = database().await;
    assert_eq!(lines(&db.session, "SELECT weigh('m', NULL), shout('m', NULL)").await, ["∅|∅"]);
    assert_eq!(db.model.rows(), 0);
    assert_eq!(lines(&db.session, "SELECT shout('m', 'a', suffix => NULL)").await, ["A"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_go_by_name_and_wrong_ones_name_the_remedy() {
    let db = database().await;
    assert_eq!(lines(&db.session, "SELECT shout(text => 'a', model => 'm')").await, ["A!"]);
    assert_eq!(lines(&db.session, "SELECT shout('m', 'a', suffix => '?')").await, ["A?"]);
    let error = failure(&db.session, "SELECT shout('m', 'a', sufix => '?')").await;
    assert_eq!(error.sqlstate(), "42883");
    assert!(error.hint().is_some_and(|hint| hint.contains("suffix text DEFAULT '!'")), "{error}");
    let error = failure(&db.session, "SELECT weigh('m', 5)").await;
    assert_eq!(error.sqlstate(), "42883", "{error}");
    assert!(error.to_string().contains("weigh(model text, text text)"), "{error}");
    let listed =
        "SELECT pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc WHERE proname = 'words'";
    let listed = lines(&db.session, listed).await;
    assert_eq!(listed, ["model text, text text, top_k integer DEFAULT 10|TABLE(rank integer, word text)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_keeps_its_sqlstate_and_names_the_function() {
    let db = database().await;
    for sql in ["SELECT weigh('missing', text) FROM p", "SELECT * FROM words('missing', 'a')"] {
        let error = failure(&db.session, sql).await;
        assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::UndefinedObject, "42704"), "{error}");
        assert_eq!(error.hint(), Some("load it"));
        let name = if sql.contains("weigh") { "weigh" } else { "words" };
        assert!(error.message().contains(name), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_drops_the_requests_within_200_ms() {
    let db = with_model(Fake { delay: Duration::from_secs(60), ..Fake::default() }).await;
    let mut rows = db.session.query("SELECT weigh('m', text) FROM p").await.expect("it starts");
    let waiting = tokio::spawn(async move { rows.next().await });
    while db.model.running.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = Instant::now();
    db.session.cancel();
    while db.model.running.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    let error = waiting.await.expect("the reader ends").expect("an answer").expect_err("an error");
    assert_eq!(error.sqlstate(), "57014");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_overlap_but_no_more_than_the_service_takes() {
    let db = with_model(Fake { budget: Some(20), delay: Duration::from_millis(5), ..Fake::default() }).await;
    let expected = lines(&db.session, "SELECT octet_length(text || id) FROM p ORDER BY id").await;
    let answers = lines(&db.session, "SELECT weigh('m', text || id) FROM (SELECT * FROM p ORDER BY id) t").await;
    assert_eq!(answers, expected, "rows keep their order");
    assert_eq!(db.model.most_running.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_by_key_asks_about_the_rows_it_finds() {
    let db = database().await;
    let insert = "INSERT INTO explanations (explanation_id, model_id, source_id, index, description) \
        SELECT 'e' || i, 'm', '0-res', i, 'about ' || i FROM generate_series(0, 20) AS g(i)";
    run(&db.session, insert).await.expect("explanations");
    let sql =
        "SELECT weigh('m', description) FROM explanations WHERE model_id = 'm' AND source_id = '0-res' AND index = 12";
    assert_eq!(lines(&db.session, sql).await, ["8"]);
    assert_eq!(db.model.rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_call_and_what_it_sent() {
    let db = database().await;
    let plan = lines(&db.session, "EXPLAIN SELECT weigh('m', text) FROM p WHERE kind = 1").await.join("\n");
    assert!(plan.contains("ModelCall: weigh("), "{plan}");
    assert!(plan.contains("budget=8192"), "{plan}");
    assert_eq!(db.model.rows(), 0);
    let analyzed = lines(&db.session, "EXPLAIN ANALYZE SELECT weigh('m', text) FROM p").await.join("\n");
    assert!(analyzed.contains("rows_sent=10") && analyzed.contains("rows_deduplicated=90"), "{analyzed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_ask_at_once_and_sessions_that_were_open_know_later_models() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db").to_string_lossy().into_owned();
    let engine = Engine::open(&location, EngineOptions::default()).await.expect("a database");
    let early = engine.session("ana");
    assert_eq!(lines(&early, "SELECT 1").await, ["1"]);
    assert_eq!(failure(&early, "SELECT weigh('m', 'a')").await.sqlstate(), "42883");
    let model = Arc::new(Fake { delay: Duration::from_millis(300), ..Fake::default() });
    engine.attach_models(Arc::<Fake>::clone(&model)).expect("the model is attached");
    let late = engine.session("ben");
    let (left, right) = tokio::join!(lines(&early, "SELECT weigh('m', 'a')"), lines(&late, "SELECT weigh('m', 'bb')"));
    assert_eq!((left, right), (vec!["1".to_owned()], vec!["2".to_owned()]));
    assert_eq!(model.most_running.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_with_parameters_are_prepared_with_the_declared_types() {
    let db = database().await;
    for (sql, expected) in [
        ("SELECT weigh('m', $1)", "3"),
        ("SELECT word FROM words('m', $1)", "abc"),
        ("SELECT weigh('m', shout('m', $1)) + $2::bigint", "6"),
    ] {
        let statement = db.session.parse(sql).expect("a statement").pop().expect("one");
        let prepared = db.session.prepare(&statement, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(prepared.parameters()[0], arrow::datatypes::DataType::Utf8);
        let mut values = vec![ScalarValue::from("abc"), ScalarValue::from(2_i64)];
        values.truncate(prepared.parameters().len());
        for _ in 0..2 {
            let rows = db.session.execute(&prepared, values.clone()).await.expect(sql).into_rows().expect("rows");
            assert_eq!(lines_of(&rows.collect().await.expect("rows")), [expected], "{sql}");
        }
    }
    let statement =
        db.session.parse("SELECT * FROM words('m', 'a', top_k => $1)").expect("a statement").pop().expect("one");
    let prepared = db.session.prepare(&statement, &[]).await.expect("it is planned");
    assert_eq!(prepared.parameters(), [arrow::datatypes::DataType::Int32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_take_answers() {
    let db = database().await;
    run(&db.session, "CREATE TABLE t (id bigint, n bigint)").await.expect("a table");
    for (change, query, expected) in [
        ("INSERT INTO t SELECT id, weigh('m', text) FROM p WHERE id < 3", "SELECT n FROM t ORDER BY id", "5|6|7"),
        ("INSERT INTO t VALUES (3, weigh('m', 'abc')), (4, 1)", "SELECT n FROM t ORDER BY id", "5|6|7|3|1"),
        ("UPDATE t SET n = weigh('m', 'x' || id) WHERE id = 1", "SELECT n FROM t ORDER BY id", "5|2|7|3|1"),
        ("DELETE FROM t WHERE weigh('m', 'abcdef' || id) = n", "SELECT n FROM t ORDER BY id", "5|2|3|1"),
        (
            "MERGE INTO t USING p ON t.id = p.id WHEN MATCHED THEN UPDATE SET n = weigh('m', p.text || p.text)",
            "SELECT n FROM t ORDER BY id",
            "10|12|16|18",
        ),
    ] {
        run(&db.session, change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
        assert_eq!(lines(&db.session, query).await.join("|"), expected, "{change}");
    }
    drop(db.engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_and_copies_ask_too() {
    let db = database().await;
    run(&db.session, "CREATE VIEW weights AS SELECT id, weigh('m', text) AS n FROM p").await.expect("a view");
    assert_eq!(lines(&db.session, "SELECT n FROM weights WHERE id = 3").await, ["8"]);
    assert_eq!(db.model.rows(), 1);
    let file = db._directory.path().join("weights.csv");
    run(&db.session, &format!("COPY (SELECT n FROM weights WHERE id < 2 ORDER BY id) TO '{}'", file.display()))
        .await
        .expect("a copy");
    let copied = std::fs::read_to_string(file).expect("a file");
    assert_eq!(copied.split_whitespace().collect::<Vec<_>>(), ["n", "5", "6"]);
}

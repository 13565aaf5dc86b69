//! Search gives the same rows with an index and without one: over queries and rows that are made up, deletes, merges and
//! crashes. Scores do not depend on how rows lie in files.

use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::arrow;
use latentdb_engine::{Engine, EngineOptions, ErrorKind, Session};
use proptest::prelude::*;

async fn open(directory: &Path) -> Engine {
    let location = directory.join("db").to_string_lossy().into_owned();
    Engine::open(&location, EngineOptions::default()).await.expect("the database opens")
}

async fn run(session: &Session, sql: &str) {
    for statement in session.parse(sql).expect("statements") {
        let outcome = session.run(&statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        if let Ok(rows) = outcome.into_rows() {
            rows.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}

async fn lines(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let options = FormatOptions::default().with_null("∅");
    let mut lines = Vec::new();
    for batch in rows.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
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

const ANIMALS: &str = "\
CREATE TABLE notes (id bigint PRIMARY KEY, body text);
INSERT INTO notes VALUES (1, 'The cat sat on the mat'), (2, 'Cats and dogs'), (3, NULL), (4, 'A dog, a cat, a dog');
INSERT INTO notes VALUES (5, 'nothing of the kind'), (6, 'category theory'), (7, 'the cat');";

#[tokio::test(flavor = "multi_thread")]
async fn words_are_matched_ranked_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, ANIMALS).await;
    for use_index in [false, true] {
        if use_index {
            run(&session, "CREATE INDEX notes_body ON notes USING text (body)").await;
            let plan = lines(&session, "EXPLAIN SELECT id FROM notes WHERE body @@ 'cat'").await.join("\n");
            assert!(plan.contains("index=notes_body"), "{plan}");
        }
        let ids = |sql: &'static str| lines(&session, sql);
        assert_eq!(ids("SELECT id FROM notes WHERE body @@ 'cat' ORDER BY id").await, ["1", "4", "7"]);
        assert_eq!(ids("SELECT id FROM notes WHERE body @@@ 'cat dog' ORDER BY id").await, ["4"]);
        assert_eq!(ids("SELECT id FROM notes WHERE body @@ 'cat OR cats' ORDER BY id").await, ["1", "2", "4", "7"]);
        assert_eq!(ids("SELECT id FROM notes WHERE body @@ 'cat*' ORDER BY id").await, ["1", "2", "4", "6", "7"]);
        assert_eq!(ids("SELECT id FROM notes WHERE body @@ '\"the cat\"' ORDER BY id").await, ["1", "7"]);
        assert_eq!(ids("SELECT id FROM notes WHERE text_match(body, 'cat -dog') ORDER BY id").await, ["1", "7"]);
        let best = "SELECT id FROM notes WHERE body @@ 'cat' ORDER BY bm25(body) DESC, id LIMIT 1";
        assert_eq!(lines(&session, best).await, ["7"], "the shortest text is the best");
        let all = "SELECT id, bm25(body) > 0 FROM notes WHERE body @@ 'dog' ORDER BY bm25(body) DESC";
        assert_eq!(lines(&session, all).await, ["4|true"]);
        let found = lines(&session, "SELECT id FROM text_search('notes', 'body', 'cat', 2) ORDER BY score DESC").await;
        assert_eq!((found.len(), found[0].as_str()), (2, "7"));
        let shown = lines(&session, "SELECT snippet(body) FROM notes WHERE body @@ 'cat' AND id = 1").await;
        assert!(shown[0].contains("cat") && shown[0].len() > "The cat sat on the mat".len(), "{shown:?}");
    }
    let plan =
        lines(&session, "EXPLAIN SELECT id FROM notes WHERE body @@ 'cat' ORDER BY bm25(body) DESC LIMIT 3").await;
    assert!(plan.join("\n").contains("3 best of body @@ 'cat'"), "{plan:?}");
    run(&session, "DROP INDEX notes_body").await;
    assert_eq!(lines(&session, "SELECT id FROM notes WHERE body @@ 'cat' ORDER BY id").await, ["1", "4", "7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_searched_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, ANIMALS).await;
    run(&session, "CREATE TABLE points (id bigint, place vector(2)); INSERT INTO points VALUES (1, ARRAY[1.0, 0.0])")
        .await;
    let absurd = format!("SELECT id FROM notes WHERE body @@ '{}'", "a OR ".repeat(10_000));
    for (sql, kind) in [
        ("SELECT id FROM notes WHERE body @@ '\"unbalanced'", ErrorKind::InvalidValue),
        (absurd.as_str(), ErrorKind::InvalidValue),
        ("SELECT bm25(body) FROM notes", ErrorKind::Unsupported),
        ("SELECT bm25(body || 'x', 'cat') FROM notes", ErrorKind::Unsupported),
        ("CREATE INDEX ON notes USING text (nowhere)", ErrorKind::UndefinedColumn),
        ("CREATE INDEX ON notes USING text (id)", ErrorKind::TypeMismatch),
        ("CREATE INDEX ON notes USING vector (body)", ErrorKind::TypeMismatch),
        ("CREATE INDEX ON nowhere USING text (body)", ErrorKind::UndefinedTable),
        ("CREATE INDEX ON notes (body)", ErrorKind::Unsupported),
        ("CREATE INDEX ON points USING vector (place) WITH (m = 1)", ErrorKind::InvalidValue),
        ("CREATE INDEX ON points USING vector (place) WITH (metric = 'far')", ErrorKind::InvalidValue),
        ("DROP INDEX nowhere", ErrorKind::UndefinedObject),
        ("SELECT id FROM points ORDER BY place <=> '[1,2,3]' LIMIT 1", ErrorKind::InvalidValue),
        ("SELECT id FROM points ORDER BY place <=> 'not a vector' LIMIT 1", ErrorKind::InvalidValue),
        ("SELECT id FROM points ORDER BY place <=> '[0,0]' LIMIT 1", ErrorKind::InvalidValue),
        ("SELECT id FROM points ORDER BY place <-> '[NaN,0]' LIMIT 1", ErrorKind::InvalidValue),
        ("SELECT * FROM text_search('notes', 'body')", ErrorKind::InvalidValue),
        ("SELECT * FROM vector_search('points', 'place', '[1,0]', metric => 'far')", ErrorKind::InvalidValue),
    ] {
        let statements = session.parse(sql).unwrap();
        let failed = match session.run(&statements[0]).await {
            Err(error) => error,
            Ok(outcome) => match outcome.into_rows() {
                Ok(rows) => rows.collect().await.expect_err(sql),
                Err(_) => panic!("{} succeeds", &sql[..sql.len().min(80)]),
            },
        };
        assert_eq!(failed.kind(), kind, "{}: {failed}", &sql[..sql.len().min(80)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_compared_as_in_pgvector() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE points (id bigint PRIMARY KEY, place vector(2))").await;
    run(&session, "INSERT INTO points VALUES (1, '[1, 0]'::vector), (2, ARRAY[0.0, 2.0]), (3, NULL), (4, ARRAY[0.0, 0.0]), (5, '[3, 3]'::vector(2))").await;
    for index in [None, Some("cosine"), Some("l2"), Some("inner_product")] {
        if let Some(metric) = index {
            run(
                &session,
                &format!("CREATE INDEX points_{metric} ON points USING vector (place) WITH (metric = '{metric}')"),
            )
            .await;
        }
        let ids = |sql: &'static str| lines(&session, sql);
        assert_eq!(ids("SELECT id FROM points ORDER BY place <-> '[1, 1]' LIMIT 2").await, ["1", "2"]);
        assert_eq!(ids("SELECT id FROM points ORDER BY place <=> '[1, 1]' LIMIT 1").await, ["5"]);
        assert_eq!(ids("SELECT id FROM points ORDER BY place <#> '[1, 1]' LIMIT 2").await, ["5", "2"]);
        // A zero vector has no direction, and what has no vector comes last of all.
        assert_eq!(
            ids("SELECT id FROM points ORDER BY place <=> '[1, 1]', id LIMIT 5").await,
            ["5", "1", "2", "4", "3"]
        );
        let near =
            "SELECT id, round(distance::numeric, 3) FROM vector_search('points', 'place', '[0, 1]', 2, metric => 'l2')";
        assert_eq!(lines(&session, near).await, ["2|1.000", "4|1.000"].map(str::to_owned).to_vec());
        let distances =
            "SELECT l2_distance(place, '[1,0]'::vector), inner_product(place, ARRAY[1,0]) FROM points WHERE id = 5";
        assert_eq!(lines(&session, distances).await, ["3.605551242828369|3.0"]);
    }
    let plan = lines(&session, "EXPLAIN SELECT id FROM points ORDER BY place <=> '[1, 1]' LIMIT 1").await.join("\n");
    assert!(plan.contains("index=points_cosine"), "{plan}");
    run(&session, "SET latentdb.vector_exact = on").await;
    let plan = lines(&session, "EXPLAIN SELECT id FROM points ORDER BY place <=> '[1, 1]' LIMIT 1").await.join("\n");
    assert!(!plan.contains("index="), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_vectors_are_ranked_together() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE texts (id bigint PRIMARY KEY, body text, note text, place vector(2))").await;
    run(&session, "INSERT INTO texts VALUES (1, 'a cat', 'a mat', '[1, 0]'::vector), (2, 'a dog', 'a cat', '[0.9, 0.1]'::vector), (3, 'cat', 'a', '[0, 1]'::vector)").await;
    for index in ["", "CREATE INDEX ON texts USING text (body); CREATE INDEX ON texts USING vector (place)"] {
        run(&session, index).await;
        let both = "SELECT id, score > 0.03 FROM hybrid_search('texts', 'body', 'place', 'cat', '[1, 0]', k => 3) ORDER BY score DESC";
        assert_eq!(lines(&session, both).await, ["1|true", "3|true", "2|false"]);
        let some = "SELECT id FROM hybrid_search('texts', 'body', 'place', 'cat', '[1, 0]', 3, filter => note <> 'a' AND id > 1)";
        assert_eq!(lines(&session, some).await, ["2"]);
        let some = "SELECT id FROM text_search('texts', 'body', 'cat', filter => id < 3)";
        assert_eq!(lines(&session, some).await, ["1"]);
        // A rank beside a distance that orders, and two ranks of two columns.
        let near = "SELECT id, bm25(body) > 0 FROM texts WHERE body @@ 'cat' ORDER BY place <=> '[0, 1]' LIMIT 1";
        assert_eq!(lines(&session, near).await, ["3|true"]);
        let two =
            "SELECT id FROM texts WHERE body @@ 'cat' AND note @@ 'mat' AND bm25(body) > 0 AND bm25(note, 'mat') > 0";
        assert_eq!(lines(&session, two).await, ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_may_hold_vectors_of_several_models() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE texts (id bigint PRIMARY KEY, model text, place vector)").await;
    run(&session, "INSERT INTO texts VALUES (1, 'a', '[1, 0]'::vector), (2, 'b', '[1, 0, 0]'::vector), (3, 'a', '[0, 1]'::vector)").await;
    run(&session, "CREATE INDEX near ON texts USING vector (place)").await;
    run(&session, "INSERT INTO texts VALUES (4, 'b', '[0, 0, 1]'::vector), (5, 'b', '[0, 1, 1]'::vector)").await;
    let of = |model: &str, vector: &str| {
        format!("SELECT id FROM texts WHERE model = '{model}' ORDER BY place <=> '{vector}' LIMIT 2")
    };
    assert_eq!(lines(&session, &of("a", "[0.1, 1]")).await, ["3", "1"]);
    assert_eq!(lines(&session, &of("b", "[0, 0.1, 1]")).await, ["4", "5"]);
    let within = "SELECT id FROM vector_search('texts', 'place', '[0, 0.1, 1]', 2, filter => model = 'b')";
    assert_eq!(lines(&session, within).await, ["4", "5"]);
    let plan = lines(&session, &format!("EXPLAIN {}", of("b", "[0, 0.1, 1]"))).await.join("\n");
    assert!(plan.contains("index=near"), "{plan}");
}

/// A row of a made-up table: words of a small vocabulary, and a vector.
type Made = (Option<Vec<u8>>, Option<[i8; 3]>);

/// What is done to the table.
#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<Made>),
    Delete(u8),
    Update(u8),
    Optimize,
    Rebuild,
    Reopen,
}

const VOCABULARY: &[&str] = &["cat", "dog", "mat", "the", "sat", "catalogue", "dot", "a", "of", "hat"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let body = proptest::option::weighted(0.9, proptest::collection::vec(0..10u8, 0..8));
    let place = proptest::option::weighted(0.9, [-3..4i8, -3..4i8, -3..4i8]);
    let step = prop_oneof![
        4 => proptest::collection::vec((body, place), 1..12).prop_map(Step::Insert),
        2 => any::<u8>().prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Update),
        1 => Just(Step::Optimize),
        3 => Just(Step::Rebuild),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..8)
}

const SEARCHES: &[&str] = &[
    "SELECT id FROM notes WHERE body @@ 'cat' ORDER BY id",
    "SELECT id FROM notes WHERE body @@ 'cat OR dog' AND id > 3 ORDER BY id",
    "SELECT id FROM notes WHERE body @@ 'cat* -dog' ORDER BY id",
    "SELECT id FROM notes WHERE body @@ '\"the cat\" OR \"sat of\"' ORDER BY id",
    "SELECT id FROM notes WHERE body @@ 'hat~' ORDER BY id",
    "SELECT id, round(bm25(body)::numeric, 4) FROM notes WHERE body @@ 'the OR cat' ORDER BY bm25(body) DESC, id",
    "SELECT round(bm25(body)::numeric, 4) FROM notes WHERE body @@ 'cat' ORDER BY bm25(body) DESC LIMIT 3",
    "SELECT round(bm25(body)::numeric, 4) FROM notes WHERE body @@ 'the' AND id % 2 = 0 ORDER BY bm25(body) DESC LIMIT 3",
    "SELECT round(score::numeric, 4), length(body) >= 0 FROM text_search('notes', 'body', 'cat OR the', 4)",
    "SELECT round(bm25(body)::numeric, 4) AS s FROM notes WHERE body @@ 'cat -sat' ORDER BY s DESC LIMIT 1000",
    "SELECT n.id, round(bm25(n.body)::numeric, 4) FROM notes n JOIN notes m USING (id) WHERE n.body @@ 'dog' ORDER BY id",
    "SELECT round((place <-> '[1,2,0]') * 10000) FROM notes ORDER BY place <-> '[1,2,0]' LIMIT 5",
    "SELECT round((place <=> '[1,2,1]') * 10000) FROM notes WHERE id % 3 = 1 ORDER BY place <=> '[1,2,1]' LIMIT 4",
    "SELECT count(*) FROM (SELECT id FROM notes ORDER BY place <=> '[1,0,1]' LIMIT 1000) t",
];

async fn make_indexes(session: &Session) {
    run(session, "CREATE INDEX IF NOT EXISTS notes_body ON notes USING text (body)").await;
    run(session, "CREATE INDEX IF NOT EXISTS notes_place ON notes USING vector (place) WITH (metric = 'l2')").await;
    run(session, "CREATE INDEX IF NOT EXISTS notes_turn ON notes USING hnsw (place vector_cosine_ops)").await;
}

async fn take(engine: &mut Engine, directory: &Path, step: &Step, next: &mut i64) {
    let session = engine.session("ana");
    match step {
        Step::Insert(rows) => {
            let values: Vec<String> = rows
                .iter()
                .map(|(body, place)| {
                    *next += 1;
                    let words =
                        |words: &Vec<u8>| words.iter().map(|word| VOCABULARY[*word as usize]).collect::<Vec<_>>();
                    let body = body.as_ref().map_or("NULL".to_owned(), |body| format!("'{}'", words(body).join(" ")));
                    let place = place.map_or("NULL".to_owned(), |[x, y, z]| format!("'[{x},{y},{z}]'::vector"));
                    format!("({next}, {body}, {place})")
                })
                .collect();
            run(&session, &format!("INSERT INTO notes VALUES {}", values.join(", "))).await;
        }
        Step::Delete(which) => run(&session, &format!("DELETE FROM notes WHERE id % 7 = {}", which % 7)).await,
        Step::Update(which) => {
            run(&session, &format!("UPDATE notes SET body = body || ' cat' WHERE id % 5 = {}", which % 5)).await;
        }
        Step::Optimize => run(&session, "OPTIMIZE notes").await,
        Step::Rebuild => {
            run(&session, "DROP INDEX IF EXISTS notes_body").await;
            make_indexes(&session).await;
        }
        Step::Reopen => {
            drop(session);
            engine.close().await.expect("it closes");
            *engine = open(directory).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_the_same_with_indexes_and_without(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let mut engine = open(directory.path()).await;
            let made = "CREATE TABLE notes (id bigint PRIMARY KEY, body text, place vector(3))";
            run(&engine.session("ana"), made).await;
            make_indexes(&engine.session("ana")).await;
            let mut next = 0;
            for step in &steps {
                take(&mut engine, directory.path(), step, &mut next).await;
                let [with, without, planned] = [(); 3].map(|()| engine.session("ana"));
                run(&without, "SET latentdb.use_indexes = off").await;
                run(&planned, "SET latentdb.use_indexes = off; SET latentdb.lookups = off").await;
                for search in SEARCHES {
                    let expected = lines(&planned, search).await;
                    for session in [&with, &without] {
                        assert_eq!(lines(session, search).await, expected, "{search} after {step:?}");
                    }
                }
            }
            engine.close().await.unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_do_not_depend_on_how_rows_lie_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, "CREATE TABLE one (id bigint, body text); CREATE TABLE many (id bigint, body text)").await;
    let text = |id: usize| (0..=id % 5).map(|n| VOCABULARY[(id * 7 + n * 3) % 10]).collect::<Vec<_>>().join(" ");
    let row = |id: usize| format!("({id}, '{}')", text(id));
    let all: Vec<String> = (0..60).map(row).collect();
    run(&session, &format!("INSERT INTO one VALUES {}", all.join(", "))).await;
    run(&session, "CREATE INDEX ON many USING text (body)").await;
    // Rows that go again leave no trace in the scores.
    run(&session, "INSERT INTO many VALUES (100, 'cat cat dog'), (101, 'cat')").await;
    for some in all.chunks(13) {
        run(&session, &format!("INSERT INTO many VALUES {}", some.join(", "))).await;
    }
    run(&session, "DELETE FROM many WHERE id >= 100").await;
    let search = |table: &str| {
        format!("SELECT id, round(bm25(body)::numeric, 5) FROM {table} WHERE body @@ 'cat OR mat' ORDER BY 2 DESC, id")
    };
    let expected = lines(&session, &search("one")).await;
    assert!(expected.len() > 10);
    assert_eq!(lines(&session, &search("many")).await, expected);
    run(&session, "DROP INDEX many_body_text; CREATE INDEX ON many USING text (body)").await;
    assert_eq!(lines(&session, &search("many")).await, expected);
}

fn segments(directory: &Path, index: &str) -> Vec<PathBuf> {
    let folder = directory.join("db/_index").join(index);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_built_anew_and_never_believed() {
    let directory = tempfile::tempdir().unwrap();
    let search = "SELECT id FROM notes WHERE body @@ 'cat' ORDER BY id";
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, ANIMALS).await;
    run(&session, "CREATE INDEX notes_body ON notes USING text (body)").await;
    drop(session);
    engine.close().await.unwrap();
    drop(engine);
    for damage in ["cut", "flip", "gone", "stray"] {
        let path = segments(directory.path(), "notes_body").pop();
        let bytes = path.as_ref().map(|path| std::fs::read(path).unwrap()).unwrap_or_default();
        match (damage, &path) {
            ("cut", Some(path)) => std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            ("flip", Some(path)) => {
                let mut bytes = bytes.clone();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                std::fs::write(path, bytes).unwrap();
            }
            ("gone", Some(path)) => std::fs::remove_file(path).unwrap(),
            _ => std::fs::write(directory.path().join("db/_index/notes_body/half.segment"), b"half").unwrap(),
        }
        let engine = open(directory.path()).await;
        let session = engine.session("ana");
        assert_eq!(lines(&session, search).await, ["1", "4", "7"], "{damage}");
        // The upkeep builds what is missing.
        for _ in 0..100 {
            let ready = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'notes_body'::regclass";
            if lines(&session, ready).await == ["true"] {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(segments(directory.path(), "notes_body").len(), 1, "{damage}");
        assert_eq!(lines(&session, search).await, ["1", "4", "7"], "{damage}");
        drop(session);
        engine.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upkeep_follows_the_table_and_the_index_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).await;
    let session = engine.session("ana");
    run(&session, ANIMALS).await;
    run(&session, "CREATE INDEX CONCURRENTLY notes_body ON notes USING text (body)").await;
    run(&session, "INSERT INTO notes VALUES (8, 'one more cat')").await;
    assert_eq!(lines(&session, "SELECT id FROM notes WHERE body @@ 'more'").await, ["8"]);
    for _ in 0..100 {
        if lines(&session, "SELECT indisvalid FROM pg_index WHERE NOT indisprimary").await == ["true"] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(lines(&session, "SELECT indisvalid FROM pg_index WHERE NOT indisprimary").await, ["true"]);
    let definition = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE NOT indisprimary";
    assert_eq!(lines(&session, definition).await, ["CREATE INDEX notes_body ON public.notes USING text (body)"]);
    assert!(lines(&session, "SELECT 1 FROM notes WHERE body @@ ''").await.is_empty(), "no words match nothing");
    run(&session, "DROP TABLE notes").await;
    assert!(lines(&session, "SELECT 1 FROM pg_index WHERE NOT indisprimary").await.is_empty());
}

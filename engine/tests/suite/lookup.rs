//! Look-ups by key give what the plan gives: the same queries with look-ups on and off, over files that come and go.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::arrow;
use latentdb_engine::{Engine, EngineOptions, Session};

/// Queries with `{m}`, `{s}`, `{i}` for a model, a source and an index.
const QUERIES: &[&str] = &[
    "SELECT * FROM features WHERE model_id = '{m}' AND source_id = '{s}' AND index = {i}",
    "SELECT index, density + 1, top_logit_tokens[1] FROM features WHERE index = {i} AND source_id = '{s}' AND '{m}' = model_id",
    "SELECT f.index FROM features AS f WHERE f.model_id = '{m}' AND f.source_id = '{s}' AND f.index = {i}::bigint AND f.density > 0.5",
    "SELECT rank, max_value FROM activations WHERE model_id = '{m}' AND source_id = '{s}' AND index = {i} AND rank < 3",
    "SELECT * FROM activation_records WHERE model_id = '{m}' AND source_id = '{s}' AND index = {i} ORDER BY rank",
    "SELECT rank, acts, tokens FROM activation_records WHERE model_id = '{m}' AND source_id = '{s}' AND index = {i} \
     ORDER BY max_value DESC, rank LIMIT 3 OFFSET 1",
    "SELECT description FROM explanations WHERE model_id = '{m}' AND source_id = '{s}' AND index = {i} ORDER BY description",
    "SELECT tokens FROM contexts WHERE context_id = {i}",
    "SELECT tokens FROM contexts WHERE context_id = 9999999999999",
    "SELECT * FROM features WHERE model_id = '{m}' AND source_id = '{s}' AND index = 9999999999999",
    "SELECT * FROM features WHERE model_id = '{m}' AND source_id = '{s}' AND index = NULL",
];

/// Queries that look like look-ups and are none.
const OTHERS: &[&str] = &[
    "SELECT count(*) FROM features WHERE model_id = 'm0' AND source_id = '0-res' AND index = 3",
    "SELECT * FROM features WHERE model_id = 'm0' AND source_id = '0-res'",
    "SELECT * FROM features WHERE model_id = 'm0' AND source_id = '0-res' AND (index = 3 OR index = 4)",
    "SELECT now(), index FROM features WHERE model_id = 'm0' AND source_id = '0-res' AND index = 3",
    "SELECT * FROM features VERSION AS OF 1 WHERE model_id = 'm0' AND source_id = '0-res' AND index = 3",
];

async fn run(session: &Session, sql: &str) {
    for statement in session.parse(sql).expect("statements") {
        if let Ok(rows) = session.run(&statement).await.unwrap_or_else(|error| panic!("{sql}: {error}")).into_rows() {
            rows.collect().await.expect("rows");
        }
    }
}

async fn lines(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let options = FormatOptions::default().with_null("∅");
    let mut lines = vec![rows.schema().fields().iter().map(|field| field.to_string()).collect::<Vec<_>>().join("|")];
    for batch in rows.collect().await.expect("rows") {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    if !sql.contains("ORDER BY") {
        lines.sort();
    }
    lines
}

async fn is_look_up(session: &Session, sql: &str) -> bool {
    lines(session, &format!("EXPLAIN {sql}")).await.iter().any(|line| line.starts_with("look-up: "))
}

async fn compare(session: &Session, sql: &str) {
    let quick = lines(session, sql).await;
    session.set("latentdb.lookups", "off").expect("a setting");
    let planned = lines(session, sql).await;
    session.set("latentdb.lookups", "on").expect("a setting");
    assert_eq!(quick, planned, "{sql}");
}

/// Rows of every table that is looked up, with `step` in their values.
fn rows(step: usize) -> String {
    let features = format!(
        "INSERT INTO features (model_id, source_id, index, density, top_logit_tokens) \
         SELECT 'm' || i % 2, i % 3 || '-res', i + {from}, i % 10 / 10.0, ARRAY['t' || i, 'u'] \
         FROM generate_series(0, 999) AS g(i)",
        from = step * 700
    );
    let activations = format!(
        "INSERT INTO activations (model_id, source_id, index, rank, context_id, positions, acts, max_value) \
         SELECT 'm' || i % 2, i % 3 || '-res', i + {from}, r, (i * 7 + r * 13) % 500, ARRAY[1, 2], ARRAY[0.5, r], r * 1.5 \
         FROM generate_series(0, 299) AS g(i), generate_series(0, 4) AS h(r)",
        from = step * 200
    );
    let contexts = format!(
        "INSERT INTO contexts (context_id, model_id, tokens) \
         SELECT i + {from}, 'm', ARRAY['a' || i, 'b', 'c'] FROM generate_series(0, 249) AS g(i)",
        from = step * 250
    );
    let explanations = format!(
        "INSERT INTO explanations (explanation_id, model_id, source_id, index, description) \
         SELECT 'e{step}-' || i, 'm' || i % 2, i % 3 || '-res', i, 'about ' || i || ' {step}' \
         FROM generate_series(0, 99) AS g(i)"
    );
    [features, activations, contexts, explanations].join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_give_what_plans_give() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db").to_string_lossy().into_owned();
    let engine = Engine::open(&location, EngineOptions::default()).await.expect("a database");
    let session = engine.session("ana");
    let steps = [
        rows(0),
        rows(1),
        "UPDATE features SET density = 0.75 WHERE index % 5 = 0; DELETE FROM activations WHERE rank = 2".to_owned(),
        "OPTIMIZE features; OPTIMIZE activations".to_owned(),
        "BEGIN; DELETE FROM features WHERE index = 4; UPDATE explanations SET description = 'new' WHERE index = 3"
            .to_owned(),
        "ROLLBACK; DELETE FROM contexts WHERE context_id % 2 = 0".to_owned(),
    ];
    for step in steps {
        run(&session, &step).await;
        for query in QUERIES {
            for (model, source, index) in
                [("m0", "0-res", 0), ("m1", "0-res", 3), ("m0", "1-res", 4), ("m1", "2-res", 905), ("m9", "9", 1)]
            {
                let sql = query.replace("{m}", model).replace("{s}", source).replace("{i}", &index.to_string());
                compare(&session, &sql).await;
            }
        }
    }
    for query in QUERIES.iter().filter(|query| !query.contains("NULL") && !query.contains("9999")) {
        let sql = query.replace("{m}", "m0").replace("{s}", "0-res").replace("{i}", "0");
        assert!(is_look_up(&session, &sql).await, "{sql}");
    }
    for sql in OTHERS {
        assert!(!is_look_up(&session, sql).await, "{sql}");
        compare(&session, sql.strip_prefix("SELECT now(), ").map_or(*sql, |_| "SELECT 1")).await;
    }
}

/// Searches. Rows may match equally well, and then any of them may be among the best: only what they have in common is looked at.
const SEARCHES: &[&str] = &[
    "SELECT score FROM text_search('notes', 'body', 'three OR w7', 5)",
    "SELECT id FROM text_search('notes', 'body', 'nowhere')",
    "SELECT score * 2 AS twice, length(kind) FROM text_search('notes', 'body', 'w1*', k => 40)",
    "SELECT score, snippet(body, 'three') LIKE '%three%' AS shown FROM text_search('notes', 'body', 'three w7')",
    "SELECT bm25(body) AS s FROM notes WHERE body @@ 'three' ORDER BY s DESC LIMIT 4 OFFSET 2",
    "SELECT id FROM notes ORDER BY place <=> '[0.3, 1, -2]' LIMIT 7",
    "SELECT id, upper(kind) AS big FROM notes ORDER BY place <=> '[0.3, 1, -2]' LIMIT 7",
];

/// Searches that are planned: they ask for more than the best rows.
const PLANNED: &[&str] = &[
    "SELECT id FROM notes WHERE body @@ 'three' AND kind = 'k1' ORDER BY bm25(body) DESC, id LIMIT 4",
    "SELECT id FROM notes ORDER BY place <=> '[0.3, 1, -2]', id LIMIT 3",
    "SELECT id, place <=> '[1, 1, 1]' AS far FROM notes ORDER BY place <=> '[1, 1, 1]' LIMIT 3",
    "SELECT id FROM notes WHERE kind = 'k1' ORDER BY place <=> '[0.3, 1, -2]' LIMIT 3",
    "SELECT bm25(body) AS s FROM notes WHERE body @@ 'three' ORDER BY s LIMIT 3",
];

#[tokio::test(flavor = "multi_thread")]
async fn searches_give_what_plans_give() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let location = directory.path().join("db").to_string_lossy().into_owned();
    let engine = Engine::open(&location, EngineOptions::default()).await.expect("a database");
    let session = engine.session("ana");
    let notes = |from: usize| {
        format!(
            "INSERT INTO notes SELECT i, 'k' || i % 3, 'w' || i % 11 || repeat(' three', i % 4) || repeat(' more', i % 31), \
             ARRAY[sin(i), cos(i * 3), i % 50 - 25] FROM generate_series({from}, {from} + 1999) AS g(i)"
        )
    };
    run(&session, "CREATE TABLE notes (id bigint PRIMARY KEY, kind text, body text, place vector(3))").await;
    let steps = [
        notes(0),
        "CREATE INDEX ON notes USING text (body); CREATE INDEX ON notes USING vector (place) WITH (metric = 'cosine')"
            .to_owned(),
        notes(2000),
        "DELETE FROM notes WHERE id % 9 = 0; UPDATE notes SET kind = 'k9' WHERE id % 5 = 0".to_owned(),
        format!("BEGIN; {}", notes(4000)),
        "COMMIT; OPTIMIZE notes".to_owned(),
    ];
    for step in steps {
        run(&session, &step).await;
        for search in SEARCHES.iter().chain(PLANNED) {
            compare(&session, search).await;
        }
    }
    for search in SEARCHES {
        assert!(is_look_up(&session, search).await, "{search}");
    }
    for search in PLANNED {
        assert!(!is_look_up(&session, search).await, "{search}");
    }
}

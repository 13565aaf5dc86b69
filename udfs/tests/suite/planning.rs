//! Model calls over tables: batched, stopped by LIMIT, cancelled.

use crate::golden::{EXPECTED, Tiny, numbers, quoted, rows, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_prompts_gives_what_each_prompt_gives_alone() {
    let tiny = Tiny::open().await;
    let session = tiny.session();
    rows(&session, "CREATE TABLE prompts (id int, text text)").await;
    for (id, expected) in EXPECTED.iter().enumerate() {
        rows(&session, &format!("INSERT INTO prompts VALUES ({id}, {})", quoted(&expected.text))).await;
    }
    let sql = "SELECT p.id, a.index FROM prompts p, activate('tiny', '1-res', p.text, top_k => 5) a ORDER BY p.id, a.max_value DESC";
    let together = rows(&session, sql).await;
    let mut alone = Vec::new();
    for expected in EXPECTED.iter() {
        let sql = format!("SELECT index FROM activate('tiny', '1-res', {}, top_k => 5)", quoted(&expected.text));
        alone.extend(numbers(&rows(&session, &sql).await, "index"));
    }
    assert_eq!(numbers(&together, "index"), alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_ten_thousand_prompts_runs_a_handful_of_passes() {
    let tiny = Tiny::open().await;
    let session = tiny.session();
    let sql = "SELECT n, a.index FROM generate_series(1, 10000) AS s(n), \
               activate('tiny', '1-res', 'the cat number ' || n::text, top_k => 5) a LIMIT 5";
    let started = std::time::Instant::now();
    assert_eq!(rows(&session, sql).await.num_rows(), 5);
    let limited = started.elapsed();
    let started = std::time::Instant::now();
    let all = "SELECT count(*) AS n FROM generate_series(1, 400) AS s(n), \
               activate('tiny', '1-res', 'the cat number ' || n::text, top_k => 5) a";
    rows(&session, all).await;
    // Four hundred prompts take longer than the handful that five rows need.
    assert!(limited < started.elapsed(), "{limited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_model_call() {
    let tiny = Tiny::open().await;
    let plan = tiny.rows("EXPLAIN SELECT * FROM activate('tiny', '1-res', 'the cat')").await;
    let text = texts(&plan, plan.schema().field(plan.num_columns() - 1).name()).join("\n");
    assert!(text.contains("ModelCall"), "{text}");
}

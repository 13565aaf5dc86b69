//! Model calls over tables: batched, stopped by LIMIT, cancelled.

use arrow::record_batch::RecordBatch;

use crate::golden::{EXPECTED, Tiny, execute, numbers, quoted, rows, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_prompts_gives_what_each_prompt_gives_alone() {
    let tiny = Tiny::open().await;
    let session = tiny.session();
    execute(&session, "CREATE TABLE prompts (id int, text text)").await;
    for (id, expected) in EXPECTED.iter().enumerate() {
        execute(&session, &format!("INSERT INTO prompts VALUES ({id}, {})", quoted(&expected.text))).await;
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
async fn a_limit_over_ten_thousand_prompts_asks_about_few() {
    let tiny = Tiny::open().await;
    let session = tiny.session();
    let sql = "SELECT n, a.index FROM generate_series(1, 10000) AS s(n), \
               activate('tiny', '1-res', 'the cat number ' || n::text, top_k => 5) a LIMIT 5";
    assert_eq!(rows(&session, sql).await.num_rows(), 5);
    let plan = text(&rows(&session, &format!("EXPLAIN ANALYZE {sql}")).await);
    let sent = plan.split("rows_sent=").nth(1).and_then(|rest| rest.split([',', ']']).next()).unwrap();
    let sent: usize = sent.trim().parse().unwrap_or_else(|_| panic!("{plan}"));
    assert!((1..=64).contains(&sent), "{sent} prompts were sent\n{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_model_call() {
    let tiny = Tiny::open().await;
    let plan = tiny.rows("EXPLAIN SELECT * FROM activate('tiny', '1-res', 'the cat')").await;
    let plan = text(&plan);
    assert!(plan.contains("ModelCall"), "{plan}");
}

fn text(plan: &RecordBatch) -> String {
    texts(plan, plan.schema().field(plan.num_columns() - 1).name()).join("\n")
}

//! `eval_source` and `layout_features`: what they write into the tables. (What the numbers are is held in the runtime's tests.)

use latentdb_engine::ErrorKind;

use crate::golden::{EXPECTED, Tiny, assert_close, execute, numbers, quoted, reals, texts};

fn corpus() -> String {
    let texts: Vec<String> = EXPECTED.iter().map(|expected| format!("({})", quoted(&expected.text))).collect();
    quoted(&format!("SELECT text FROM (VALUES {}) AS d(text)", texts.join(", ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn evals_of_sources_are_kept_and_replaced() {
    let tiny = Tiny::open().await;
    let call = format!("CALL eval_source('tiny', '1-res,2-res', {}, context_length => 64)", corpus());
    let other = "INSERT INTO evals (model_id, source_id, metric, value) VALUES ('tiny', '1-res', 'absorption', 0.5)";
    execute(&tiny.session(), other).await;
    let made = tiny.rows(&call).await;
    assert_eq!(texts(&made, "source_id").first().map(String::as_str), Some("1-res"));
    tiny.rows(&call).await;
    let kept = tiny.rows("SELECT * FROM evals WHERE source_id = '1-res' ORDER BY metric").await;
    let metrics = texts(&kept, "metric");
    for metric in
        ["absorption", "ce_loss_score", "cossim", "explained_variance", "frac_alive", "kl_div_score", "l0", "mse"]
    {
        assert_eq!(metrics.iter().filter(|known| *known == metric).count(), 1, "{metric} in {metrics:?}");
    }
    // BOS is token 0, in front of every text, and left out.
    let rows: Vec<&Vec<f32>> =
        EXPECTED.iter().flat_map(|prompt| prompt.sources["1-res"].unfolded.iter().skip(1)).collect();
    let active: usize = rows.iter().map(|row| row.iter().filter(|act| **act > 0.0).count()).sum();
    let l0 = tiny.rows("SELECT value, n_tokens, details FROM evals WHERE source_id = '1-res' AND metric = 'l0'").await;
    assert_close(&reals(&l0, "value"), &[active as f32 / rows.len() as f32], 1e-5, "l0");
    assert_eq!(numbers(&l0, "n_tokens"), [rows.len() as i64]);
    assert!(texts(&l0, "details")[0].contains("\"context_length\":64"));
    let alive = tiny.rows("SELECT details FROM evals WHERE source_id = '2-res' AND metric = 'frac_alive'").await;
    assert!(texts(&alive, "details")[0].contains("log10_density_histogram"));
}

#[tokio::test(flavor = "multi_thread")]
async fn features_get_places_and_clusters() {
    let tiny = Tiny::open().await;
    let none = tiny.error("CALL layout_features('tiny', '1-res')").await;
    assert_eq!(none.kind(), ErrorKind::UndefinedObject, "{none}");
    tiny.rows(&format!("CALL generate_dashboards('tiny', '1-res,2-res', {}, context_length => 12)", corpus())).await;
    let made = tiny.rows("CALL layout_features('tiny', '1-res', neighbors => 5, seed => 1)").await;
    assert_eq!(numbers(&made, "placed"), [96]);
    let sql = "SELECT index, umap_x, umap_y, umap_log_sparsity, density, max_activation FROM features \
               WHERE source_id = '1-res' AND umap_x IS NOT NULL AND density > 0 ORDER BY index";
    let found = tiny.rows(sql).await;
    assert!(found.num_rows() > 50);
    let logs: Vec<f32> = reals(&found, "density").iter().map(|density| density.log10()).collect();
    assert_close(&reals(&found, "umap_log_sparsity"), &logs, 1e-5, "log10 of the density");
    let other =
        tiny.rows("SELECT count(*) AS n, count(umap_x) AS placed FROM features WHERE source_id = '2-res'").await;
    assert_eq!((numbers(&other, "n"), numbers(&other, "placed")), (vec![96], vec![0]));
    let all = tiny.rows("SELECT count(*) AS n FROM features WHERE source_id = '1-res'").await;
    assert_eq!(numbers(&all, "n"), [96], "no feature is lost");
    for (sql, word) in [
        ("CALL layout_features('tiny', '1-res', neighbors => 1)", "neighbors"),
        ("CALL layout_features('tiny', '1-res', of => 'encoder')", "encoder"),
        ("CALL layout_features('tiny', '1-res', of => 'explanations')", "explanations"),
    ] {
        let error = tiny.error(sql).await;
        assert!(error.message().contains(word), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_with_embeddings_get_places() {
    let tiny = Tiny::open().await;
    execute(
        &tiny.session(),
        "INSERT INTO explanations (explanation_id, model_id, source_id, index, description, embedding) VALUES \
         ('a', 'tiny', '1-res', 0, 'cats', ARRAY[1.0, 0.0, 0.1]), ('b', 'tiny', '1-res', 1, 'dogs', ARRAY[0.9, 0.1, 0.0]), \
         ('c', 'tiny', '1-res', 2, 'cars', ARRAY[0.0, 1.0, 0.0]), ('d', 'tiny', '1-res', 3, 'none', NULL)",
    )
    .await;
    let made = tiny.rows("CALL layout_features('tiny', '1-res', of => 'explanations')").await;
    assert_eq!((numbers(&made, "placed"), numbers(&made, "unplaced")), (vec![3], vec![1]));
    let found = tiny.rows("SELECT description FROM explanations WHERE umap_x IS NULL").await;
    assert_eq!(texts(&found, "description"), ["none"]);
}

//! `generate_dashboards`: what it puts into the tables, against activations from SAELens on a model run by interp-engine.

use latentdb_engine::ErrorKind;

use crate::golden::{EXPECTED, Tiny, assert_close, numbers, quoted, real_lists, reals, texts};

/// Tokens of a prompt; some of the texts are longer, some shorter.
pub(crate) const LENGTH: usize = 12;

/// Makes dashboards of `sources` from the golden file's texts.
pub(crate) fn call(sources: &str, options: &str) -> String {
    let texts: Vec<String> = EXPECTED.iter().map(|expected| format!("({})", quoted(&expected.text))).collect();
    let corpus = format!("SELECT text FROM (VALUES {}) AS d(text)", texts.join(", "));
    format!("CALL generate_dashboards('tiny', '{sources}', {}, context_length => {LENGTH}{options})", quoted(&corpus))
}

/// Activations of a feature on each prompt; BOS, which is masked, counts as silent.
pub(crate) fn acts(source: &str, feature: usize) -> Vec<Vec<f32>> {
    let of_prompt = |prompt: &crate::golden::Expected| {
        let rows = prompt.sources[source].acts.iter().take(LENGTH).enumerate();
        rows.map(|(position, row)| if position == 0 { 0.0 } else { row[feature].max(0.0) }).collect()
    };
    EXPECTED.iter().map(of_prompt).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_as_the_oracles_activations_say() {
    let tiny = Tiny::open().await;
    let made = tiny.rows(&call("1-res,2-topk", "")).await;
    assert_eq!(texts(&made, "source_id"), ["1-res", "2-topk"]);
    let tokens: usize = EXPECTED.iter().map(|prompt| prompt.ids.len().min(LENGTH)).sum();
    assert_eq!(numbers(&made, "tokens"), [tokens as i64; 2]);
    for source in ["1-res", "2-topk"] {
        let sql = format!("SELECT * FROM features WHERE source_id = '{source}' ORDER BY index");
        let features = tiny.rows(&sql).await;
        let width = EXPECTED[0].sources[source].acts[0].len();
        assert_eq!(numbers(&features, "index"), (0..width as i64).collect::<Vec<_>>());
        let all: Vec<Vec<f32>> = (0..width).map(|feature| acts(source, feature).concat()).collect();
        let most: Vec<f32> = all.iter().map(|acts| acts.iter().copied().fold(0.0, f32::max)).collect();
        assert_close(&reals(&features, "max_activation"), &most, 1e-5, source);
        let share = |acts: &Vec<f32>| acts.iter().filter(|act| **act > 0.0).count() as f32 / tokens as f32;
        assert_close(&reals(&features, "density"), &all.iter().map(share).collect::<Vec<_>>(), 1e-5, source);
        let promoted = real_lists(&features, "top_logits");
        assert!(promoted.iter().all(|logits| logits.len() == 10 && logits.is_sorted_by(|one, other| one >= other)));
        let cosines = real_lists(&features, "nearest_cosines");
        assert!(cosines.iter().flatten().all(|cosine| (-1.001..=1.001).contains(cosine)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_hold_the_activations_of_their_contexts() {
    let tiny = Tiny::open().await;
    tiny.rows(&call("1-res", "")).await;
    let found = tiny
        .rows("SELECT a.*, c.token_ids, c.document FROM activations a JOIN contexts c USING (context_id) ORDER BY index, rank")
        .await;
    assert!(found.num_rows() > 0);
    let (documents, indices) = (numbers(&found, "document"), numbers(&found, "index"));
    let (found_acts, most) = (real_lists(&found, "acts"), reals(&found, "max_value"));
    for (row, document) in documents.iter().enumerate() {
        let dense = &acts("1-res", indices[row] as usize)[*document as usize];
        let sparse: Vec<f32> = dense.iter().copied().filter(|act| *act > 0.0).collect();
        assert_close(&found_acts[row], &sparse, 1e-5, "acts");
        assert_close(&[most[row]], &[sparse.iter().copied().fold(0.0, f32::max)], 1e-5, "max_value");
    }
    let contexts = tiny.rows("SELECT count(*) AS n, count(DISTINCT context_id) AS d FROM contexts").await;
    assert_eq!(numbers(&contexts, "n"), numbers(&contexts, "d"), "each context is stored once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_takes_the_place_of_the_first_and_is_the_same() {
    let tiny = Tiny::open().await;
    let all = "SELECT source_id, index, rank, context_id, acts::text AS acts FROM activations ORDER BY 1, 2, 3";
    tiny.rows(&call("1-res", ", seed => 3")).await;
    let first = tiny.rows(all).await;
    tiny.rows(&call("1-res", ", seed => 3")).await;
    let second = tiny.rows(all).await;
    assert_eq!(texts(&first, "acts"), texts(&second, "acts"));
    assert_eq!(numbers(&first, "context_id"), numbers(&second, "context_id"));
    let settings = tiny.rows("SELECT settings FROM sources WHERE source_id = '1-res'").await;
    assert!(texts(&settings, "settings")[0].contains("\"context_length\":12"), "the settings are recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn neurons_get_dashboards_and_a_row() {
    let tiny = Tiny::open().await;
    let made = tiny.rows(&call("1", "")).await;
    assert!(numbers(&made, "alive")[0] > 0);
    let source = tiny.rows("SELECT set_id, architecture FROM sources WHERE source_id = '1'").await;
    assert_eq!(texts(&source, "set_id"), ["neurons"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_generated_is_said() {
    let tiny = Tiny::open().await;
    let cases = [
        ("CALL generate_dashboards('tiny', 'none', 'SELECT 1')".to_owned(), ErrorKind::UndefinedObject, "none"),
        (
            "CALL generate_dashboards('tiny', '1-res', 'SELECT * FROM nowhere')".to_owned(),
            ErrorKind::UndefinedTable,
            "corpus",
        ),
        (
            "CALL generate_dashboards('tiny', '1-res', 'SELECT 1.5::double precision')".to_owned(),
            ErrorKind::InvalidValue,
            "corpus",
        ),
        (
            "CALL generate_dashboards('tiny', '1-res', 'SELECT 1', context_length => 65)".to_owned(),
            ErrorKind::InvalidValue,
            "context_length is 65",
        ),
        (call("1-res", ", packing => 'tight'"), ErrorKind::InvalidValue, "tight"),
        (call("1-res", ", n_prompts => 0"), ErrorKind::InvalidValue, "n_prompts"),
    ];
    for (sql, kind, word) in cases {
        let error = tiny.error(&sql).await;
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.message().contains(word), "{error}");
    }
    let left = tiny.rows("SELECT count(*) AS n FROM features").await;
    assert_eq!(numbers(&left, "n"), [0]);
}

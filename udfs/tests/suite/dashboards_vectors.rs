//! Dashboards of the vectors that users made.

use latentdb_engine::ErrorKind;

use crate::dashboards::{LENGTH, call};
use crate::golden::{EXPECTED, Tiny, assert_close, execute, numbers, real_lists, reals, texts};

async fn with_vectors() -> Tiny {
    let tiny = Tiny::open().await;
    let insert = "INSERT INTO vectors (vector_id, model_id, hook_point, label, vector) VALUES \
                  ('mine', 'tiny', 'blocks.1.hook_resid_pre', 'a label', decoder_vector('tiny/1-res/5')), \
                  ('other', 'tiny', 'blocks.2.hook_resid_pre', NULL, encoder_vector('tiny/2-res/7'))";
    execute(&tiny.session(), insert).await;
    tiny
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_gets_a_dashboard_of_where_activations_point_its_way() {
    let tiny = with_vectors().await;
    let made = tiny.rows(&call("vectors/mine", "")).await;
    assert_eq!((texts(&made, "source_id"), numbers(&made, "features")), (vec!["mine".to_owned()], vec![1]));
    let found = tiny.rows("SELECT * FROM features").await;
    let vector = real_lists(&found, "vector").concat();
    let dots = EXPECTED.iter().flat_map(|prompt| prompt.sources["1-res"].hidden.iter().take(LENGTH).skip(1));
    let dots: Vec<f32> = dots.map(|row| row.iter().zip(&vector).map(|(one, other)| one * other).sum()).collect();
    let most = dots.iter().copied().fold(0.0, f32::max);
    assert_close(&reals(&found, "max_activation"), &[most], 1e-5, "max_activation");
    let tokens: usize = EXPECTED.iter().map(|prompt| prompt.ids.len().min(LENGTH)).sum();
    let active = dots.iter().filter(|dot| **dot > 0.0).count();
    assert_close(&reals(&found, "density"), &[active as f32 / tokens as f32], 1e-5, "density");
    assert_eq!(texts(&found, "vector_label"), ["a label"]);
    assert_eq!(texts(&found, "hook_point"), ["blocks.1.hook_resid_pre"]);
    assert_eq!(real_lists(&found, "top_logits")[0].len(), 10);
    let source = tiny.rows("SELECT set_id, hook_point, d_sae, layer FROM sources WHERE source_id = 'mine'").await;
    assert_eq!((texts(&source, "set_id")[0].as_str(), numbers(&source, "d_sae")[0]), ("vectors", 1));
    let seen = tiny.rows("SELECT count(*) AS n FROM activations WHERE source_id = 'mine'").await;
    assert!(numbers(&seen, "n")[0] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_vectors_of_a_model_go_by_their_set_and_again() {
    let tiny = with_vectors().await;
    for _ in 0..2 {
        let made = tiny.rows(&call("vectors", "")).await;
        assert_eq!(texts(&made, "source_id"), ["mine", "other"]);
    }
    let again = tiny.rows(&call("mine", "")).await;
    assert_eq!(texts(&again, "source_id"), ["mine"], "one with a dashboard goes by its id too");
    let found = tiny.rows("SELECT count(*) AS n, count(DISTINCT source_id) AS s FROM features").await;
    assert_eq!((numbers(&found, "n")[0], numbers(&found, "s")[0]), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_that_cannot_have_dashboards_are_refused() {
    let tiny = with_vectors().await;
    execute(
        &tiny.session(),
        "INSERT INTO vectors (vector_id, model_id, hook_point, vector) VALUES \
         ('short', 'tiny', 'blocks.1.hook_resid_pre', ARRAY[1.0, 2.0]), \
         ('1-res', 'tiny', 'blocks.1.hook_resid_pre', decoder_vector('tiny/1-res/5')), \
         ('foreign', 'another', 'blocks.1.hook_resid_pre', ARRAY[1.0, 2.0])",
    )
    .await;
    let cases = [
        ("vectors/none", ErrorKind::UndefinedObject, "none"),
        ("vectors/short", ErrorKind::InvalidValue, "short"),
        ("vectors/1-res", ErrorKind::Duplicate, "1-res"),
        ("vectors/foreign", ErrorKind::InvalidValue, "another"),
    ];
    for (name, kind, word) in cases {
        let error = tiny.error(&call(name, "")).await;
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.message().contains(word), "{error}");
    }
}

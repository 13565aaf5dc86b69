//! What cannot be answered is refused with an SQLSTATE, by name, with a remedy.

use latentdb_udfs::{SourceHints, add_model, add_source};

use crate::golden::{Tiny, folder, here, unwatched};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_are_refused_by_name() {
    let tiny = Tiny::open().await;
    for (sql, sqlstate, named) in [
        ("SELECT * FROM activate('none', '1-res', 'x')", "42704", "none"),
        ("SELECT * FROM activate('tiny', '9-res', 'x')", "42704", "9-res"),
        ("SELECT * FROM activate('tiny', '7', 'x')", "42704", "layer 7"),
        ("SELECT * FROM activate('tiny', '', 'x')", "22023", "no source"),
        ("SELECT * FROM activate_feature('tiny/1-res/96', 'x')", "42704", "96"),
        ("SELECT * FROM activate_feature('tiny/1-res', 'x')", "22023", "tiny/1-res"),
        ("SELECT * FROM hidden_states('tiny', 'blocks.1.nothing', 'x')", "22023", "blocks.1.nothing"),
        ("SELECT * FROM hidden_states('tiny', 'blocks.9.hook_resid_pre', 'x')", "22023", "blocks.9"),
        ("SELECT * FROM attention('tiny', 'x', layer => 3)", "22023", "layer 3"),
        ("SELECT * FROM attention('tiny', 'x', layer => 1, head => 4)", "22023", "head 4"),
        ("SELECT detokenize('tiny', ARRAY[1, 99999])", "22023", "99999"),
        ("SELECT * FROM activate('tiny', '1-res', 'x', top_k => -1)", "22023", "top_k"),
    ] {
        let error = tiny.error(sql).await;
        assert_eq!(error.sqlstate(), sqlstate, "{sql}: {error}");
        assert!(error.message().contains(named), "{sql}: {error}");
        assert!(error.hint().is_some(), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_without_tokens_and_prompts_beyond_the_context_are_refused() {
    let tiny = Tiny::open().await;
    let long = "cat ".repeat(200);
    let error = tiny.error(&format!("SELECT * FROM logits('tiny', '{long}')")).await;
    assert_eq!(error.sqlstate(), "22023", "{error}");
    assert!(error.message().contains("64"), "{error}");
    let error = tiny.error("SELECT * FROM logits('tiny', '', prepend_bos => false)").await;
    assert!(error.message().contains("no tokens"), "{error}");
    // With a BOS token even an empty text is a prompt.
    assert_eq!(tiny.rows("SELECT * FROM logits('tiny', '', top_k => 1)").await.num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_model_or_no_source_is_not_added() {
    let tiny = Tiny::open().await;
    let empty = tempfile::tempdir().unwrap();
    let error = add_model(&tiny.engine, "other", &here(empty.path()), &unwatched()).await.unwrap_err();
    assert!(error.message().contains("config.json"), "{error}");
    let error = add_source(&tiny.engine, "tiny/0-x", &here(empty.path()), SourceHints::default(), &unwatched())
        .await
        .unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    let source = folder().join("sources/1-res");
    let error =
        add_source(&tiny.engine, "other/0-x", &here(&source), SourceHints::default(), &unwatched()).await.unwrap_err();
    assert_eq!(error.sqlstate(), "42704", "{error}");
    assert_eq!(tiny.rows("SELECT 1 FROM models WHERE model_id = 'other'").await.num_rows(), 0);
    assert_eq!(tiny.rows("SELECT 1 FROM sources WHERE source_id = '0-x'").await.num_rows(), 0);
}

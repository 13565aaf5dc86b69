//! Tokens, logits, lenses, attention, hidden states and vectors.

use crate::golden::{EXPECTED, Tiny, assert_close, numbers, quoted, real_lists, reals, texts};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_those_of_the_models_own_tokenizer() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let found = tiny.rows(&format!("SELECT * FROM tokenize('tiny', {})", quoted(&expected.text))).await;
        let ids: Vec<i64> = expected.ids.iter().map(|id| i64::from(*id)).collect();
        assert_eq!(numbers(&found, "token_id"), ids);
        assert_eq!(texts(&found, "token"), expected.tokens);
        let bare = tiny
            .rows(&format!("SELECT token_id FROM tokenize('tiny', {}, prepend_bos => false)", quoted(&expected.text)))
            .await;
        assert_eq!(numbers(&bare, "token_id"), ids[1..]);
        let sql = format!(
            "SELECT detokenize('tiny', array_agg(token_id ORDER BY position)) AS text \
             FROM tokenize('tiny', {}, prepend_bos => false)",
            quoted(&expected.text)
        );
        assert_eq!(texts(&tiny.rows(&sql).await, "text"), [expected.text.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logits_are_those_of_transformers() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let found = tiny.rows(&format!("SELECT * FROM logits('tiny', {}, top_k => 8)", quoted(&expected.text))).await;
        let mut best: Vec<(usize, f32)> = expected.logits.iter().copied().enumerate().collect();
        best.sort_by(|one, other| other.1.total_cmp(&one.1));
        best.truncate(8);
        assert_eq!(numbers(&found, "token_id"), best.iter().map(|(id, _)| *id as i64).collect::<Vec<_>>());
        assert_close(
            &reals(&found, "logit"),
            &best.iter().map(|(_, logit)| *logit).collect::<Vec<_>>(),
            1e-5,
            "logits",
        );
        let most = expected.logits.iter().copied().fold(f32::MIN, f32::max);
        let total: f32 = expected.logits.iter().map(|logit| (logit - most).exp()).sum();
        assert_close(&reals(&found, "probability")[..1], &[1.0 / total], 1e-4, "probability");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logit_lens_ends_at_the_models_own_answer() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let sql = format!("SELECT * FROM logit_lens('tiny', {}) ORDER BY layer, position", quoted(&expected.text));
        let found = numbers(&tiny.rows(&sql).await, "next_token_id");
        let best: Vec<i64> = expected.lens_top.iter().flatten().map(|id| i64::from(*id)).collect();
        assert_eq!(found, best, "{:?}", expected.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attention_weights_are_those_of_interp_engine() {
    let tiny = Tiny::open().await;
    let expected = &EXPECTED[0];
    for (head, pattern) in expected.pattern.iter().enumerate() {
        let sql = format!(
            "SELECT weight FROM attention('tiny', {}, layer => 1, head => {head}) ORDER BY query_position, key_position",
            quoted(&expected.text)
        );
        let seen: Vec<f32> = pattern.iter().enumerate().flat_map(|(to, row)| row[..=to].to_vec()).collect();
        assert_close(&reals(&tiny.rows(&sql).await, "weight"), &seen, 1e-5, "weights");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_states_are_those_of_interp_engine() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        for (source, point) in [("1-res", "blocks.1.hook_resid_pre"), ("1-att", "z.1"), ("2-topk", "resid_post.2")] {
            let sql = format!(
                "SELECT vector FROM hidden_states('tiny', '{point}', {}) ORDER BY position",
                quoted(&expected.text)
            );
            let found: Vec<f32> = real_lists(&tiny.rows(&sql).await, "vector").concat();
            assert_close(&found, &expected.sources[source].hidden.concat(), 1e-5, point);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_is_not_similar_to_itself_but_to_others() {
    let tiny = Tiny::open().await;
    let found = tiny.rows("SELECT * FROM similar_features('tiny/2-res/5', k => 7)").await;
    assert_eq!(found.num_rows(), 7);
    assert!(!numbers(&found, "index").contains(&5));
    let cosines = reals(&found, "cosine");
    assert!(cosines.windows(2).all(|pair| pair[0] >= pair[1]), "{cosines:?}");
    let one = &real_lists(&tiny.rows("SELECT decoder_vector('tiny/2-res/5') AS v").await, "v")[0];
    let nearest = numbers(&found, "index")[0];
    let other = &real_lists(&tiny.rows(&format!("SELECT decoder_vector('tiny/2-res/{nearest}') AS v")).await, "v")[0];
    let dot: f32 = one.iter().zip(other).map(|(one, other)| one * other).sum();
    assert!((dot - cosines[0]).abs() < 1e-5, "folded decoder vectors have length 1");
}

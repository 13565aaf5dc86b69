//! `generate`, `steer` and `chat` in SQL. What steering does to a model is held against interp-engine in the runtime's own tests;
//! here it is that SQL asks for the same.

use latentdb_engine::ErrorKind;

use crate::golden::{EXPECTED, Tiny, assert_close, execute, numbers, quoted, real_lists, reals, rows, texts};

/// `steer` of a prompt by one item of steering.
fn steer(prompt: &str, item: &str, options: &str) -> String {
    format!("SELECT s.* FROM steer('tiny', {}, '[{item}]', max_tokens => 12{options}) s", quoted(prompt))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greedy_text_begins_with_what_transformers_expects_next() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let likeliest = (0..expected.logits.len()).max_by(|a, b| expected.logits[*a].total_cmp(&expected.logits[*b]));
        let sql = format!(
            "SELECT g.token_ids[1] AS id, array_length(g.logprobs, 1) AS n FROM generate('tiny', {}, max_tokens => 3) g",
            quoted(&expected.text)
        );
        let found = tiny.rows(&sql).await;
        assert_eq!(numbers(&found, "id"), [likeliest.unwrap() as i64], "{}", expected.text);
        assert_eq!(numbers(&found, "n"), [3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_moves_the_text_and_none_leaves_it() {
    let tiny = Tiny::open().await;
    let prompt = &EXPECTED[0].text;
    let plain = texts(
        &tiny.rows(&format!("SELECT text FROM generate('tiny', {}, max_tokens => 12)", quoted(prompt))).await,
        "text",
    );
    for item in [
        r#"{"source": "1-res", "index": 5, "strength": 0}"#,
        r#"{"source": "1-res", "index": 5, "strength": 1, "method": "orthogonal"}"#,
        r#"{"source": "1-res", "index": 5, "strength": 1, "method": "scale"}"#,
    ] {
        let found = tiny.rows(&steer(prompt, item, "")).await;
        assert_eq!(texts(&found, "default_text"), plain, "{item}");
        assert_eq!(texts(&found, "steered_text"), plain, "{item}");
        assert_eq!(real_lists(&found, "steered_logprobs"), real_lists(&found, "default_logprobs"), "{item}");
    }
    // As Neuronpedia writes it, and by every method.
    for (item, options) in [
        (r#"{"modelId": "tiny", "layer": "1-res", "index": "5", "strength": 40}"#, ""),
        (r#"{"source": "1-res", "index": 5, "strength": -30}"#, ", method => 'orthogonal'"),
        (r#"{"source": "1-res", "index": 5, "strength": -40, "method": "PROJECTION_CAP"}"#, ""),
        (r#"{"source": "1-res", "index": 5, "strength": 40, "method": "set"}"#, ""),
        (r#"{"source": "1-res", "index": 5, "strength": 20}"#, ", strength_multiplier => 2"),
        (r#"{"source": "1-res", "index": 5, "strength": 40, "positions": "generated"}"#, ""),
    ] {
        let found = tiny.rows(&steer(prompt, item, options)).await;
        assert_eq!(texts(&found, "default_text"), plain, "{item}");
        assert_ne!(real_lists(&found, "steered_logprobs"), real_lists(&found, "default_logprobs"), "{item}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_steers_as_the_feature_does_whose_direction_it_is() {
    let tiny = Tiny::open().await;
    execute(
        &tiny.session(),
        "INSERT INTO vectors (vector_id, model_id, hook_point, vector) \
         VALUES ('mine', 'tiny', 'blocks.1.hook_resid_pre', decoder_vector('tiny/1-res/5'))",
    )
    .await;
    let prompt = &EXPECTED[0].text;
    let by = |item: &'static str| async { real_lists(&tiny.rows(&steer(prompt, item, "")).await, "steered_logprobs") };
    let feature = by(r#"{"source": "1-res", "index": 5, "strength": 30}"#).await;
    assert_eq!(by(r#"{"vector": "mine", "strength": 30}"#).await, feature);
}

#[tokio::test(flavor = "multi_thread")]
async fn strengths_may_be_multiples_of_the_largest_activation() {
    let tiny = Tiny::open().await;
    execute(
        &tiny.session(),
        "INSERT INTO features (model_id, source_id, index, max_activation) VALUES ('tiny', '1-res', 5, 8.0)",
    )
    .await;
    let prompt = &EXPECTED[0].text;
    let by = |item: &'static str| async { real_lists(&tiny.rows(&steer(prompt, item, "")).await, "steered_logprobs") };
    let times = by(r#"{"source": "1-res", "index": 5, "times_max": 4}"#).await;
    assert_eq!(times, by(r#"{"source": "1-res", "index": 5, "strength": 32}"#).await);
    let unknown = tiny.error(&steer(prompt, r#"{"source": "1-res", "index": 6, "times_max": 4}"#, "")).await;
    assert_eq!(unknown.kind(), ErrorKind::InvalidValue, "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_prompts_gives_the_texts_that_each_gives_alone() {
    let tiny = Tiny::open().await;
    let session = tiny.session();
    execute(&session, "CREATE TABLE prompts (id int, body text)").await;
    for (id, expected) in EXPECTED.iter().enumerate() {
        execute(&session, &format!("INSERT INTO prompts VALUES ({id}, {})", quoted(&expected.text))).await;
    }
    let steering = r#"'[{"source": "1-res", "index": 5, "strength": 30}]'"#;
    let sql = format!(
        "SELECT s.steered_text AS text FROM prompts p, \
         steer('tiny', p.body, {steering}, max_tokens => 8, temperature => 1, seed => 7) s ORDER BY p.id"
    );
    let together = texts(&rows(&session, &sql).await, "text");
    let mut alone = Vec::new();
    for expected in EXPECTED.iter() {
        let sql = format!(
            "SELECT (steer('tiny', {}, {steering}, max_tokens => 8, temperature => 1, seed => 7)).steered_text AS text",
            quoted(&expected.text)
        );
        alone.extend(texts(&rows(&session, &sql).await, "text"));
    }
    assert_eq!(together, alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn interventions_show_what_they_do_to_the_logits() {
    let tiny = Tiny::open().await;
    let expected = &EXPECTED[0];
    let of = |item: &str, options: &str| {
        format!("SELECT * FROM intervene('tiny', {}, '[{item}]', top_k => 5{options})", quoted(&expected.text))
    };
    let feature = r#"{"source": "1-res", "index": 5, "strength": 40}"#;
    let found = tiny.rows(&of(feature, "")).await;
    let last = (expected.ids.len() - 1) as i64;
    assert!(numbers(&found, "position").iter().all(|position| *position == last));
    assert!((5..=10).contains(&found.num_rows()));
    let logits: Vec<f32> = numbers(&found, "next_token_id").iter().map(|id| expected.logits[*id as usize]).collect();
    assert_close(&reals(&found, "default_logit"), &logits, 1e-5, "default_logit");
    assert_ne!(reals(&found, "steered_logit"), reals(&found, "default_logit"));
    // Before the position where something is changed, nothing is.
    let options = format!(", positions => ARRAY[{}, {last}]", last - 1);
    let item = format!(r#"{{"source": "1-res", "index": 5, "strength": 40, "positions": [{last}]}}"#);
    let found = tiny.rows(&of(&item, &options)).await;
    for ((position, default), steered) in
        numbers(&found, "position").into_iter().zip(reals(&found, "default_logit")).zip(reals(&found, "steered_logit"))
    {
        assert_eq!(default == steered, position < last, "position {position}");
    }
    let none = tiny.rows(&of(r#"{"source": "1-res", "index": 5, "strength": 0}"#, ", freeze_attention => true")).await;
    assert_eq!(reals(&none, "steered_logit"), reals(&none, "default_logit"));
    let error = tiny.error(&of(feature, ", positions => ARRAY[500]")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_generated_or_steered_is_refused() {
    let tiny = Tiny::open().await;
    execute(
        &tiny.session(),
        "INSERT INTO vectors (vector_id, model_id, hook_point, vector) VALUES \
         ('short', 'tiny', 'blocks.1.hook_resid_pre', ARRAY[1.0, 2.0]), \
         ('foreign', 'other', 'blocks.1.hook_resid_pre', ARRAY[1.0, 2.0])",
    )
    .await;
    let zeros = vec!["0"; 32].join(",");
    let nothing = format!(
        r#"{{"vector": [{zeros}], "point": "blocks.1.hook_resid_pre", "strength": 1, "method": "orthogonal"}}"#
    );
    for (item, kind, word) in [
        (r#"{"source": "1-res", "index": 96, "strength": 1}"#, ErrorKind::UndefinedObject, "96"),
        (r#"{"source": "9-res", "index": 6, "strength": 1}"#, ErrorKind::UndefinedObject, "9-res"),
        (r#"{"source": "1-res", "index": 6}"#, ErrorKind::InvalidValue, "strength"),
        (r#"{"source": "1-res", "index": 6, "strength": 1e30}"#, ErrorKind::InvalidValue, "strength"),
        (r#"{"vector": "none", "strength": 1}"#, ErrorKind::UndefinedObject, "none"),
        (r#"{"vector": "short", "strength": 1}"#, ErrorKind::InvalidValue, "2 components"),
        (r#"{"vector": "foreign", "strength": 1}"#, ErrorKind::InvalidValue, "other"),
        (r#"{"vector": [1, 2], "strength": 1}"#, ErrorKind::InvalidValue, "point"),
        (nothing.as_str(), ErrorKind::InvalidValue, "no direction"),
        (r#"{"strength": 1}"#, ErrorKind::InvalidValue, "neither"),
        (r#"{"source": "1-res", "index": 6, "strenght": 1}"#, ErrorKind::InvalidValue, "strenght"),
    ] {
        let error = tiny.error(&steer("cat", item, "")).await;
        assert_eq!(error.kind(), kind, "{item}: {error}");
        assert!(error.message().contains(word), "{item}: {error}");
    }
    for (sql, word) in [
        ("SELECT generate('tiny', 'x', max_tokens => 1000000)", "1000000"),
        ("SELECT generate('tiny', '', prepend_bos => false)", "no tokens"),
        ("SELECT steer('tiny', 'x', '{')", "steering"),
        ("SELECT steer('tiny', 'x', '[]', method => 'sideways')", "sideways"),
        ("SELECT chat('tiny', '[{\"role\": \"user\"}]')", "content"),
    ] {
        let error = tiny.error(sql).await;
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{sql}: {error}");
        assert!(error.message().contains(word), "{sql}: {error}");
    }
    let error = tiny.error("SELECT chat('tiny', '[{\"role\": \"user\", \"content\": \"hi\"}]')").await;
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

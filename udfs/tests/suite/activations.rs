//! `activate`, `activate_by_token`, `activate_feature` give the oracles' numbers.

use std::collections::BTreeMap;

use crate::golden::{
    EXPECTED, Expected, Tiny, assert_close, assert_within, execute, numbers, quoted, real_lists, reals, texts,
};

/// Activations are compared to this share of the largest.
const TOLERANCE: f32 = 1e-5;

/// The features of a source ranked as Neuronpedia's server ranks them: by largest activation, BOS left out, then by index.
fn ranked(expected: &Expected, source: &str) -> Vec<(i64, f32)> {
    let acts = &expected.sources[source].acts;
    let most = |feature: usize| acts.iter().skip(1).map(|row| row[feature]).fold(0.0f32, f32::max);
    let mut features: Vec<(i64, f32)> = (0..acts[0].len()).map(|feature| (feature as i64, most(feature))).collect();
    features.retain(|(_, most)| *most > 0.0);
    features.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    features
}

#[tokio::test(flavor = "multi_thread")]
async fn activate_ranks_features_as_interp_engine_and_saelens_do() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        for source in ["1-res", "2-res", "2-topk", "1-att"] {
            let sql = format!("SELECT * FROM activate('tiny', '{source}', {}, top_k => 12)", quoted(&expected.text));
            let found = tiny.rows(&sql).await;
            let best: Vec<(i64, f32)> = ranked(expected, source).into_iter().take(12).collect();
            let what = format!("{source} on {:?}", expected.text);
            assert_eq!(numbers(&found, "index"), best.iter().map(|(index, _)| *index).collect::<Vec<_>>(), "{what}");
            let most: Vec<f32> = best.iter().map(|(_, most)| *most).collect();
            assert_close(&reals(&found, "max_value"), &most, TOLERANCE, &what);
            let acts = real_lists(&found, "acts");
            for ((index, _), (acts, position)) in best.iter().zip(acts.iter().zip(numbers(&found, "max_position"))) {
                let mut column: Vec<f32> =
                    expected.sources[source].acts.iter().map(|row| row[*index as usize]).collect();
                column[0] = 0.0;
                assert_close(acts, &column, TOLERANCE, &format!("{what}, feature {index}"));
                let first = column.iter().position(|value| *value == column.iter().copied().fold(0.0, f32::max));
                assert_eq!(position as usize, first.unwrap(), "{what}, feature {index}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfolded_activations_are_those_of_plain_saelens() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let sql = format!(
            "SELECT index, acts FROM activate('tiny', '2-res', {}, top_k => 96, ignore_bos => false, \
             fold_decoder_norm => false)",
            quoted(&expected.text)
        );
        let found = tiny.rows(&sql).await;
        assert!(found.num_rows() > 20);
        for (index, acts) in numbers(&found, "index").into_iter().zip(real_lists(&found, "acts")) {
            let unfolded = &expected.sources["2-res"].unfolded;
            let column: Vec<f32> = unfolded.iter().map(|row| row[index as usize]).collect();
            // Sums of terms as large as the largest activations: what is left of a weak feature is no exacter than they.
            let scale = unfolded.iter().flatten().fold(0.0f32, |most, value| most.max(*value));
            assert_within(&acts, &column, TOLERANCE * scale, &format!("feature {index} on {:?}", expected.text));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_are_ranked_together() {
    let tiny = Tiny::open().await;
    let expected = &EXPECTED[1];
    let sql = format!("SELECT * FROM activate('tiny', '1-res, 2-res', {}, top_k => 30)", quoted(&expected.text));
    let found = tiny.rows(&sql).await;
    let mut all: Vec<(&str, i64, f32)> = Vec::new();
    for source in ["1-res", "2-res"] {
        all.extend(ranked(expected, source).into_iter().map(|(index, most)| (source, index, most)));
    }
    all.sort_by(|one, other| other.2.total_cmp(&one.2));
    let names: Vec<(String, i64)> = texts(&found, "source_id").into_iter().zip(numbers(&found, "index")).collect();
    let best: Vec<(String, i64)> =
        all.iter().take(30).map(|(source, index, _)| ((*source).to_owned(), *index)).collect();
    assert_eq!(names, best);
    let of_set =
        tiny.rows(&format!("SELECT * FROM activate('tiny', 'res', {}, top_k => 30)", quoted(&expected.text))).await;
    assert_eq!(of_set, found, "a source set stands for its sources");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sum_at_chosen_positions_ranks_when_asked_for() {
    let tiny = Tiny::open().await;
    let expected = &EXPECTED[4];
    let sql = format!(
        "SELECT index, sum_value FROM activate('tiny', '2-res', {}, top_k => 10, sum_at => [2, 5])",
        quoted(&expected.text)
    );
    let found = tiny.rows(&sql).await;
    let acts = &expected.sources["2-res"].acts;
    let mut sums: Vec<(i64, f32)> =
        (0..acts[0].len()).map(|feature| (feature as i64, acts[2][feature] + acts[5][feature])).collect();
    sums.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    sums.truncate(10);
    assert_eq!(numbers(&found, "index"), sums.iter().map(|(index, _)| *index).collect::<Vec<_>>());
    assert_close(&reals(&found, "sum_value"), &sums.iter().map(|(_, sum)| *sum).collect::<Vec<_>>(), TOLERANCE, "sums");
}

#[tokio::test(flavor = "multi_thread")]
async fn activate_by_token_gives_each_tokens_strongest_features() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let sql = format!("SELECT * FROM activate_by_token('tiny', '2-topk', {}, top_k => 3)", quoted(&expected.text));
        let found = tiny.rows(&sql).await;
        let mut by_position: BTreeMap<i64, Vec<(i64, f32)>> = BTreeMap::new();
        let pairs = numbers(&found, "index").into_iter().zip(reals(&found, "value"));
        for (position, pair) in numbers(&found, "position").into_iter().zip(pairs) {
            by_position.entry(position).or_default().push(pair);
        }
        for (position, row) in expected.sources["2-topk"].acts.iter().enumerate().skip(1) {
            let mut features: Vec<(i64, f32)> =
                row.iter().enumerate().map(|(index, act)| (index as i64, *act)).collect();
            features.retain(|(_, act)| *act != 0.0);
            features.sort_by(|one, other| other.1.total_cmp(&one.1));
            features.truncate(3);
            let found = by_position.remove(&(position as i64)).unwrap_or_default();
            let (found_indices, found_values): (Vec<i64>, Vec<f32>) = found.into_iter().unzip();
            let (indices, values): (Vec<i64>, Vec<f32>) = features.into_iter().unzip();
            assert_eq!(found_indices, indices, "position {position} of {:?}", expected.text);
            assert_close(&found_values, &values, TOLERANCE, &expected.text);
        }
        assert!(by_position.is_empty(), "the BOS position is left out: {by_position:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activate_feature_gives_values_and_where_they_come_from() {
    let tiny = Tiny::open().await;
    for expected in EXPECTED.iter() {
        let index = expected.dfa.index;
        let sql = format!(
            "SELECT * FROM activate_feature('tiny/1-att/{index}', {}) ORDER BY position",
            quoted(&expected.text)
        );
        let found = tiny.rows(&sql).await;
        let values: Vec<f32> = expected.sources["1-att"].acts.iter().skip(1).map(|row| row[index]).collect();
        assert_close(&reals(&found, "value"), &values, TOLERANCE, &expected.text);
        assert_eq!(texts(&found, "token"), expected.tokens[1..], "{:?}", expected.text);
        if values.iter().any(|value| *value > 0.0) {
            assert_close(&reals(&found, "dfa_value"), &expected.dfa.values[1..], 1e-4, &expected.text);
            assert!(numbers(&found, "dfa_target").iter().all(|target| *target as usize == expected.dfa.target));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_is_measured_at_every_token() {
    let tiny = Tiny::open().await;
    let insert = "INSERT INTO vectors (vector_id, model_id, hook_point, vector) VALUES \
                  ('mine', 'tiny', 'blocks.1.hook_resid_pre', decoder_vector('tiny/1-res/5')), \
                  ('short', 'tiny', 'blocks.1.hook_resid_pre', ARRAY[1.0, 2.0])";
    execute(&tiny.session(), insert).await;
    let vector = real_lists(&tiny.rows("SELECT vector FROM vectors WHERE vector_id = 'mine'").await, "vector").concat();
    for expected in EXPECTED.iter() {
        let sql =
            format!("SELECT * FROM activate_feature('vectors/mine', {}) ORDER BY position", quoted(&expected.text));
        let found = tiny.rows(&sql).await;
        let dot = |row: &Vec<f32>| row.iter().zip(&vector).map(|(one, other)| one * other).sum();
        let dots: Vec<f32> = expected.sources["1-res"].hidden.iter().map(dot).collect();
        assert_close(&reals(&found, "value"), &dots, TOLERANCE, &expected.text);
        assert_eq!(texts(&found, "token"), expected.tokens, "{:?}", expected.text);
    }
    let error = tiny.error("SELECT * FROM activate_feature('vectors/none', 'x')").await;
    assert_eq!((error.sqlstate(), error.hint().is_some()), ("42704", true), "{error}");
    let error = tiny.error("SELECT * FROM activate_feature('vectors/short', 'x')").await;
    assert_eq!(error.sqlstate(), "22023", "{error}");
}

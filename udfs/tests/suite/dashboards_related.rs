//! What dashboards say of a feature's relatives: nearest features, correlated ones, components, heads, attributions. The
//! expected numbers are made of the oracles' activations (golden/make.py).

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use latentdb_engine::ErrorKind;

use crate::dashboards::{LENGTH, acts, call};
use crate::golden::{EXPECTED, Tiny, assert_close, assert_within, numbers, quoted, real_lists, texts};

/// Lists of whole numbers; none where there is none.
fn integer_lists(batch: &RecordBatch, name: &str) -> Vec<Vec<usize>> {
    let lists = batch.column_by_name(name).unwrap().as_list::<i32>().clone();
    let list = |row: usize| lists.value(row).as_primitive::<Int32Type>().values().iter().map(|n| *n as usize).collect();
    (0..lists.len()).map(|row| if lists.is_null(row) { Vec::new() } else { list(row) }).collect()
}

/// What is seen of a variable: its values on all tokens but the masked first ones.
fn seen(prompts: impl Iterator<Item = Vec<f32>>) -> Vec<f64> {
    prompts.flat_map(|values| values.into_iter().skip(1).map(f64::from)).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let scale = (dot(one, one) * dot(other, other)).sqrt();
    if scale > 0.0 { dot(one, other) / scale } else { 0.0 }
}

/// The three largest correlations of `own` with others, and cosines to the variables that were named.
fn assert_correlated(own: &[f64], others: &[Vec<f64>], except: usize, found: (&[usize], &[f32], &[f32]), what: &str) {
    let (indices, pearsons, cosines) = found;
    let all: Vec<f64> = others.iter().map(|other| cosine(&centred(own), &centred(other))).collect();
    let mut largest: Vec<f64> =
        all.iter().enumerate().filter(|(n, r)| *n != except && **r != 0.0).map(|(_, r)| *r).collect();
    largest.sort_by(|one, other| other.total_cmp(one));
    let largest: Vec<f32> = largest.into_iter().take(3).map(|r| r as f32).collect();
    assert_within(pearsons, &largest, 1e-4, what);
    for ((index, pearson), found) in indices.iter().zip(pearsons).zip(cosines) {
        assert_ne!(*index, except);
        assert_within(&[*pearson, *found], &[all[*index] as f32, cosine(own, &others[*index]) as f32], 1e-4, what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn correlations_are_those_of_the_oracles_activations() {
    let tiny = Tiny::open().await;
    tiny.rows(&call("1-res,2-topk", ", correlated => 3")).await;
    for source in ["1-res", "2-topk"] {
        let found = tiny.rows(&format!("SELECT * FROM features WHERE source_id = '{source}' ORDER BY index")).await;
        let features: Vec<Vec<f64>> =
            (0..found.num_rows()).map(|feature| seen(acts(source, feature).into_iter())).collect();
        let width = EXPECTED[0].sources[source].hidden[0].len();
        let component = |number: usize| {
            let of_prompt = |rows: &Vec<Vec<f32>>| rows.iter().take(LENGTH).map(|row| row[number]).collect();
            seen(EXPECTED.iter().map(|prompt| of_prompt(&prompt.sources[source].hidden)))
        };
        let components: Vec<Vec<f64>> = (0..width).map(component).collect();
        for (kind, others) in [("feature", &features), ("neuron", &components)] {
            let indices = integer_lists(&found, &format!("correlated_{kind}_indices"));
            let pearsons = real_lists(&found, &format!("correlated_{kind}_pearson"));
            let cosines = real_lists(&found, &format!("correlated_{kind}_l1"));
            for (feature, own) in features.iter().enumerate() {
                let except = if kind == "feature" { feature } else { usize::MAX };
                let found = (indices[feature].as_slice(), pearsons[feature].as_slice(), cosines[feature].as_slice());
                assert_correlated(own, others, except, found, &format!("{source}/{feature} {kind}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn correlations_do_not_depend_on_how_the_corpus_was_cut() {
    let tiny = Tiny::open().await;
    let mut all = Vec::new();
    for tokens_at_once in [1 << 20, 13] {
        let mut options = latentdb_udfs::GenerateOptions::new(
            "tiny",
            "1-res",
            latentdb_udfs::Corpus::Statement("SELECT text FROM texts".to_owned()),
        );
        if all.is_empty() {
            let texts: Vec<String> = EXPECTED.iter().map(|expected| format!("({})", quoted(&expected.text))).collect();
            crate::golden::execute(&tiny.session(), "CREATE TABLE texts (text text)").await;
            crate::golden::execute(&tiny.session(), &format!("INSERT INTO texts VALUES {}", texts.join(", "))).await;
        }
        options.correlated = 3;
        options.pace.tokens_at_once = tokens_at_once;
        options.pace.firings_in_memory = if tokens_at_once == 13 { 1 } else { usize::MAX };
        options.pace.features_at_once = if tokens_at_once == 13 { 7 } else { 4096 };
        let progress = std::sync::Arc::new(latentdb_udfs::Logged);
        tiny.models.generate_dashboards(&tiny.engine, options, progress).await.unwrap();
        let found = tiny
            .rows("SELECT correlated_feature_pearson, correlated_neuron_pearson FROM features ORDER BY index")
            .await;
        let lists = ["correlated_feature_pearson", "correlated_neuron_pearson"].map(|name| real_lists(&found, name));
        all.push(lists.concat().concat());
    }
    assert_within(&all[0], &all[1], 1e-5, "correlations");
}

#[tokio::test(flavor = "multi_thread")]
async fn nearest_features_of_another_source_stand_beside_the_own_ones() {
    let tiny = Tiny::open().await;
    tiny.rows(&call("1-res", ", nearest => 4, nearest_source => '2-res'")).await;
    let found = tiny.rows("SELECT * FROM features ORDER BY index LIMIT 8").await;
    let (indices, cosines) = (integer_lists(&found, "nearest_indices"), real_lists(&found, "nearest_cosines"));
    let named = "SELECT array_to_string(nearest_sources, ',') AS names FROM features ORDER BY index LIMIT 8";
    let sources = tiny.rows(named).await;
    for feature in 0..8 {
        assert_eq!(texts(&sources, "names")[feature], "1-res,1-res,1-res,1-res,2-res,2-res,2-res,2-res");
        for (source, part) in [("1-res", 0..4), ("2-res", 4..8)] {
            let sql = format!("SELECT * FROM similar_features('tiny/1-res/{feature}', k => 4, source => '{source}')");
            let similar = tiny.rows(&sql).await;
            let expected: Vec<usize> = numbers(&similar, "index").iter().map(|n| *n as usize).collect();
            assert_eq!(indices[feature][part.clone()], expected, "{feature} in {source}");
            assert_within(&cosines[feature][part], &crate::golden::reals(&similar, "cosine"), 1e-5, source);
        }
    }
    let error = tiny.error(&call("1-res", ", nearest_source => 'nowhere'")).await;
    assert_eq!(error.kind(), ErrorKind::UndefinedObject, "{error}");
    let error = tiny.error(&call("1-res", ", nearest_source => '1'")).await;
    assert!(error.message().contains("nearest_source"), "neurons have no directions: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_components_and_the_heads_are_those_of_the_decoder() {
    let tiny = Tiny::open().await;
    tiny.rows(&call("1-att", "")).await;
    let found = tiny
        .rows("SELECT *, decoder_vector('tiny/1-att/' || index) AS direction FROM features ORDER BY index LIMIT 10")
        .await;
    let (components, weights) =
        (integer_lists(&found, "neuron_alignment_indices"), real_lists(&found, "neuron_alignment_values"));
    let (shares, heads) = (real_lists(&found, "neuron_alignment_l1"), real_lists(&found, "decoder_weights_dist"));
    for (row, direction) in real_lists(&found, "direction").iter().enumerate() {
        let mut largest = direction.clone();
        largest.sort_by(|one, other| other.total_cmp(one));
        assert_within(&weights[row], &largest[..3], 1e-6, "weights");
        let total: f32 = direction.iter().map(|weight| weight.abs()).sum();
        for ((component, weight), share) in components[row].iter().zip(&weights[row]).zip(&shares[row]) {
            assert_within(&[*weight, *share], &[direction[*component], weight.abs() / total], 1e-5, "components");
        }
        let norms: Vec<f32> = direction.chunks(8).map(|head| head.iter().map(|w| w * w).sum::<f32>().sqrt()).collect();
        let total: f32 = norms.iter().sum();
        assert_within(&heads[row], &norms.iter().map(|norm| norm / total).collect::<Vec<_>>(), 1e-5, "heads");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_an_attention_source_say_where_they_came_from() {
    let tiny = Tiny::open().await;
    tiny.rows(&call("1-att", "")).await;
    let mut compared = 0;
    for (number, expected) in EXPECTED.iter().enumerate().filter(|(_, prompt)| prompt.ids.len() <= LENGTH) {
        let sql = format!(
            "SELECT a.* FROM activations a JOIN contexts c USING (context_id) \
             WHERE a.index = {} AND c.document = {number} AND a.max_position > 0 LIMIT 1",
            expected.dfa.index
        );
        let found = tiny.rows(&sql).await;
        if found.num_rows() == 0 || numbers(&found, "dfa_target")[0] != expected.dfa.target as i64 {
            continue;
        }
        compared += 1;
        assert_close(&real_lists(&found, "dfa_values")[0], &expected.dfa.values, 1e-4, &expected.text);
        let most = expected.dfa.values.iter().copied().fold(f32::MIN, f32::max);
        assert_within(&crate::golden::reals(&found, "dfa_max"), &[most], 1e-4, &expected.text);
    }
    assert!(compared > 0, "at least one of the oracle's attributions is among the examples");
    let others = tiny.rows("SELECT count(*) AS n FROM activations WHERE dfa_values IS NULL").await;
    assert_eq!(numbers(&others, "n"), [0]);
}

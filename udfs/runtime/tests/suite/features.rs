//! What passes find in sources of many features, beside the whole matrix of them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use latentdb_runtime::dashboard::{Firing, Firings};
use latentdb_runtime::ops::{Activate, HiddenStates, SourceQuery};
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::source::{OpenOptions, Source};

/// Wide enough that the features of a batch are computed in several blocks.
const FEATURES: usize = 9000;

fn worker() -> Worker {
    let service = Service::new(ServiceOptions { batch_tokens: 512, ..ServiceOptions::default() }).unwrap();
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/gpt2");
    service.model(&ModelKey { directory, dtype: None }).unwrap()
}

/// A made-up source in SAELens' format.
pub(crate) fn source(folder: &Path, architecture: &str, d_in: usize) -> Arc<Source> {
    let path = folder.join(architecture);
    std::fs::create_dir(&path).unwrap();
    let tensor = |shape: &[usize], seed: usize, scale: f32| {
        let number = |i: usize| (((i * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0 - 0.5) * scale;
        Tensor::from_vec((0..shape.iter().product()).map(number).collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
    };
    let tensors = HashMap::from([
        ("W_enc".to_owned(), tensor(&[d_in, FEATURES], 1, 0.6)),
        ("W_dec".to_owned(), tensor(&[FEATURES, d_in], 2, 2.0)),
        ("b_enc".to_owned(), tensor(&[FEATURES], 3, 0.2)),
        ("b_dec".to_owned(), tensor(&[d_in], 4, 0.2)),
    ]);
    candle_core::safetensors::save(&tensors, path.join("sae_weights.safetensors")).unwrap();
    let config = serde_json::json!({
        "architecture": architecture, "d_in": d_in, "d_sae": FEATURES, "dtype": "float32", "apply_b_dec_to_input": true,
        "k": 20, "normalize_activations": "none",
        "metadata": {"hook_name": "blocks.1.hook_resid_pre", "model_name": "x"},
    });
    std::fs::write(path.join("cfg.json"), config.to_string()).unwrap();
    Arc::new(Source::open(&path, &OpenOptions::default()).unwrap())
}

pub(crate) fn prompts() -> Vec<Vec<u32>> {
    (0..40)
        .map(|number: u32| (0..9 + number % 13).map(|place| (number * 13 + place * place * 5) % 64).collect())
        .collect()
}

/// All features of each prompt `[T, F]`, computed one prompt at a time.
async fn whole(worker: &Worker, source: &Source) -> Vec<Vec<Vec<f32>>> {
    let mut all = Vec::new();
    for prompt in prompts() {
        let states = worker.run(vec![prompt], HiddenStates::new(source.config().point)).await.unwrap().remove(0);
        let rows = states.len();
        let x = Tensor::from_vec(states.concat(), (rows, source.config().d_in), &Device::Cpu).unwrap();
        all.push(source.encode(&x, std::slice::from_ref(&(0..rows))).unwrap().to_vec2().unwrap());
    }
    all
}

fn close(one: f32, other: f32) -> bool {
    (one - other).abs() <= 1e-5 * (1.0 + other.abs())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strongest_features_are_those_of_the_whole_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker();
    for architecture in ["standard", "topk"] {
        let source = source(folder.path(), architecture, worker.model().config().d_model);
        let allowed: Arc<Vec<bool>> = Arc::new((0..FEATURES).map(|index| index % 5 != 0).collect());
        let query = SourceQuery { source: Arc::clone(&source), allowed: Some(Arc::clone(&allowed)) };
        let mut pass = Activate::new(vec![query], 15);
        pass.ignore_bos = false;
        let found = worker.run(prompts(), pass).await.unwrap();
        let whole = whole(&worker, &source).await;
        assert_eq!(found.len(), whole.len());
        for (found, whole) in found.iter().zip(&whole) {
            let strongest = |index: usize| whole.iter().map(|row| row[index]).fold(0.0f32, f32::max);
            let mut expected: Vec<f32> = (0..FEATURES).filter(|index| allowed[*index]).map(strongest).collect();
            expected.sort_by(|one, other| other.total_cmp(one));
            assert_eq!(found.len(), expected.iter().take(15).filter(|value| **value > 0.0).count());
            for (feature, expected) in found.iter().zip(expected) {
                assert!(close(feature.max_value, expected), "{architecture}: {} and {expected}", feature.max_value);
                assert!(allowed[feature.index as usize]);
                for (act, row) in feature.acts.iter().zip(whole) {
                    assert!(close(*act, row[feature.index as usize]), "{architecture}: feature {}", feature.index);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn firings_are_what_is_above_zero_in_the_whole_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker();
    let masked = 13;
    for architecture in ["standard", "topk"] {
        let source = source(folder.path(), architecture, worker.model().config().d_model);
        let pass = Firings::new(vec![Arc::clone(&source)], Arc::new(HashSet::from([masked])), 100);
        let mut found = worker.run(prompts(), pass).await.unwrap().firings.remove(0);
        found.sort_unstable_by_key(Firing::key);
        assert!(found.windows(2).all(|pair| pair[0].key() < pair[1].key()), "each is found once");
        let mut expected = 0;
        for ((prompt, tokens), whole) in (100..).zip(prompts()).zip(whole(&worker, &source).await) {
            for ((position, row), token) in (0..).zip(whole).zip(tokens) {
                for (feature, value) in (0..).zip(row).filter(|(_, value)| *value > 1e-5 && token != masked) {
                    let at = found.binary_search_by_key(&(feature, prompt, position), Firing::key);
                    let firing = found[at.unwrap_or_else(|_| panic!("{architecture}: {feature} on {prompt}"))];
                    assert!(close(firing.value, value));
                    expected += 1;
                }
            }
        }
        let tiny = found.iter().filter(|firing| firing.value <= 1e-5).count();
        assert!(expected > 0 && expected <= found.len() && found.len() <= expected + tiny + 10);
    }
}

//! The model service: everybody's prompts in one queue, each answered as if it were alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use latentdb_runtime::ops::{Activate, ActivateFeature, HiddenStates, Logits, Probe, SourceQuery};
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::source::{OpenOptions, Source};
use latentdb_runtime::{ErrorKind, Place, Point};

use candle_core::{Device, Tensor};

fn service(batch_tokens: usize) -> Service {
    Service::new(ServiceOptions { batch_tokens, ..ServiceOptions::default() }).unwrap()
}

fn worker(service: &Service, name: &str) -> Worker {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name);
    service.model(&ModelKey { directory, dtype: None }).unwrap()
}

fn prompts(count: u32) -> Vec<Vec<u32>> {
    (0..count).map(|number| (0..1 + number % 11).map(|place| (number * 7 + place * 5) % 64).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_answered_as_each_is_alone() {
    let service = service(48);
    let worker = worker(&service, "llama");
    let all = prompts(40);
    let mut alone = Vec::new();
    for prompt in &all {
        alone.extend(worker.run(vec![prompt.clone()], Logits::new(5)).await.unwrap());
    }
    let asked = all.chunks(4).map(|some| {
        let (worker, some) = (worker.clone(), some.to_vec());
        tokio::spawn(async move { worker.run(some, Logits::new(5)).await.unwrap() })
    });
    let mut together = Vec::new();
    for answer in asked.collect::<Vec<_>>() {
        together.extend(answer.await.unwrap());
    }
    assert_eq!(together.len(), alone.len());
    for (together, alone) in together.iter().zip(&alone) {
        for (one, other) in together.iter().zip(alone) {
            assert_eq!(one.token, other.token);
            assert!((one.logit - other.logit).abs() <= 1e-5 * (1.0 + other.logit.abs()), "{one:?} and {other:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waits_for_frees_the_worker() {
    let service = service(64);
    let worker = worker(&service, "gpt2");
    let started = Instant::now();
    worker.run(prompts(400), Logits::new(1)).await.unwrap();
    let whole = started.elapsed();
    // A hundred times as much work, given up.
    let long = tokio::time::timeout(Duration::from_millis(20), worker.run(prompts(40_000), Logits::new(1))).await;
    assert!(long.is_err());
    let started = Instant::now();
    worker.run(prompts(1), Logits::new(1)).await.unwrap();
    assert!(started.elapsed() < whole * 20 + Duration::from_millis(200), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_fails_fails_alone() {
    let service = service(256);
    let worker = worker(&service, "qwen3");
    let vector = Arc::new(vec![1.0; 7]);
    let point = Point::new(Place::ResidPre, 1);
    let wrong = ActivateFeature::new(Probe::Vector { point, vector }, true);
    let (failed, answered) = tokio::join!(worker.run(prompts(9), wrong), worker.run(prompts(9), Logits::new(1)));
    let error = failed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains('7'), "{error}");
    assert_eq!(answered.unwrap().len(), 9);
    let error = worker.run(prompts(2), HiddenStates::new(Point::new(Place::ResidPre, 9))).await.unwrap_err();
    assert!(error.message().contains("blocks.9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_memory_holds_what_was_used_last() {
    let one = worker(&service(64), "gpt2").model().size_in_bytes() as u64;
    let small = Service::new(ServiceOptions { memory: one * 3 / 2, ..ServiceOptions::default() }).unwrap();
    let first = worker(&small, "gpt2");
    worker(&small, "llama");
    assert!(small.bytes_loaded() <= one * 3 / 2, "{} bytes", small.bytes_loaded());
    // What somebody holds goes on, whether or not it was given up.
    assert_eq!(first.run(prompts(2), Logits::new(1)).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mate_that_wants_only_last_logits_takes_no_rows_away() {
    let service = service(4096);
    let worker = worker(&service, "llama");
    let all = prompts(12);
    for point in [Point::new(Place::FinalNormalized, 0), Point::new(Place::Logits, 0)] {
        let alone = worker.run(all.clone(), HiddenStates::new(point)).await.unwrap();
        // The first question keeps the worker busy, so that the other two wait and ride together.
        let (_, together, last) = tokio::join!(
            worker.run(prompts(2_000), Logits::new(1)),
            worker.run(all.clone(), HiddenStates::new(point)),
            worker.run(all.clone(), Logits::new(1)),
        );
        let together = together.unwrap();
        assert_eq!(last.unwrap().len(), all.len());
        for ((together, alone), prompt) in together.iter().zip(&alone).zip(&all) {
            assert_eq!(together.len(), prompt.len(), "{point} has a row for each token");
            for (one, other) in together.iter().flatten().zip(alone.iter().flatten()) {
                assert!((one - other).abs() <= 1e-5 * (1.0 + other.abs()), "{point}: {one} and {other}");
            }
        }
    }
}

/// A source of many features in SAELens' format, made up.
fn wide_source(folder: &Path, architecture: &str, d_in: usize, d_sae: usize) -> PathBuf {
    let path = folder.join(architecture);
    std::fs::create_dir(&path).unwrap();
    let numbers = |count: usize, seed: usize| -> Vec<f32> {
        (0..count).map(|i| (((i * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0 - 0.5) * 2.0).collect()
    };
    let tensor = |shape: &[usize], seed: usize, scale: f32| {
        let values = numbers(shape.iter().product(), seed).into_iter().map(|value| value * scale).collect();
        Tensor::from_vec::<_, f32>(values, shape, &Device::Cpu).unwrap()
    };
    let mut tensors = HashMap::from([
        ("W_enc".to_owned(), tensor(&[d_in, d_sae], 1, 0.3)),
        ("W_dec".to_owned(), tensor(&[d_sae, d_in], 2, 1.0)),
        ("b_enc".to_owned(), tensor(&[d_sae], 3, 0.1)),
        ("b_dec".to_owned(), tensor(&[d_in], 4, 0.1)),
    ]);
    if architecture == "jumprelu" {
        tensors.insert("threshold".to_owned(), tensor(&[d_sae], 5, 1.0));
    }
    candle_core::safetensors::save(&tensors, path.join("sae_weights.safetensors")).unwrap();
    let config = serde_json::json!({
        "architecture": architecture, "d_in": d_in, "d_sae": d_sae, "dtype": "float32", "apply_b_dec_to_input": true,
        "normalize_activations": "none", "metadata": {"hook_name": "blocks.1.hook_resid_pre", "model_name": "x"},
    });
    std::fs::write(path.join("cfg.json"), config.to_string()).unwrap();
    path
}

/// A source is screened once it has been asked for a few hundred tokens; what it answers stays the same.
#[tokio::test(flavor = "multi_thread")]
async fn ruling_features_out_in_bytes_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(512);
    let worker = worker(&service, "gpt2");
    let d_in = worker.model().config().d_model;
    let paths = ["standard", "jumprelu"].map(|architecture| wide_source(folder.path(), architecture, d_in, 3000));
    let open = |path: &PathBuf| SourceQuery {
        source: Arc::new(Source::open(path, &OpenOptions::default()).unwrap()),
        allowed: Some(Arc::new((0..3000).map(|index| index % 5 != 0).collect())),
    };
    let prompts: Vec<Vec<u32>> =
        (0..24).map(|number: u32| (0..24).map(|place| (number * 13 + place * place * 5) % 64).collect()).collect();
    let often = paths.iter().map(open).collect();
    let often = worker.run(prompts.clone(), Activate::new(often, 15)).await.unwrap();
    let mut of_second = 0;
    for (prompt, often) in prompts.into_iter().zip(&often) {
        let once = paths.iter().map(open).collect();
        let once = worker.run(vec![prompt], Activate::new(once, 15)).await.unwrap();
        assert_eq!(often.len(), once[0].len());
        for (often, once) in often.iter().zip(&once[0]) {
            assert_eq!((often.source, often.index, often.max_position), (once.source, once.index, once.max_position));
            for (one, other) in often.acts.iter().zip(&once.acts) {
                assert!((one - other).abs() <= 1e-5 * (1.0 + other.abs()), "{one} and {other}");
            }
            of_second += usize::from(often.source == 1);
        }
    }
    assert!(of_second > 0, "both sources are among the answers");
}

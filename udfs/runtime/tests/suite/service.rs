//! The model service: everybody's prompts in one queue, each answered as if it were alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latentdb_runtime::ops::{ActivateFeature, HiddenStates, Logits, Probe};
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::{ErrorKind, Place, Point};

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

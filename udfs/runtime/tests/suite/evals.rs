//! Source evals beside SAELens' numbers and what must hold of any source.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use latentdb_runtime::eval::{EvalSettings, Evaluate, Report, Sums};
use latentdb_runtime::model::{Batch, Capture, Edit, LogitRows, Model, OpenOptions as OpenModel, Until};
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::source::{OpenOptions, Source};
use latentdb_runtime::{ErrorKind, Place, Point};
use serde_json::Value;

use crate::source_cases::Case;

const SOURCES: [&str; 4] = ["jumprelu", "abstopk", "hook_z", "skip_transcoder"];

fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(part)
}

fn worker(model: &str, batch_tokens: usize) -> Worker {
    let service = Service::new(ServiceOptions { batch_tokens, ..ServiceOptions::default() }).unwrap();
    service.model(&ModelKey { directory: golden("models").join(model), dtype: None }).unwrap()
}

fn source(name: &str, fold_decoder_norm: bool) -> Arc<Source> {
    let options = OpenOptions { fold_decoder_norm, ..OpenOptions::default() };
    Arc::new(Source::open(&golden("evals").join(name), &options).unwrap())
}

fn sources() -> Vec<Arc<Source>> {
    SOURCES.iter().map(|name| source(name, false)).collect()
}

/// What `golden/evals/make.py` wrote.
struct Expected(Value);

impl Expected {
    fn load() -> Self {
        Self(serde_json::from_str(&std::fs::read_to_string(golden("evals/expected.json")).unwrap()).unwrap())
    }

    fn prompts(&self) -> Vec<Vec<u32>> {
        serde_json::from_value(self.0["prompts"].clone()).unwrap()
    }

    fn settings(&self) -> EvalSettings {
        let ignored: HashSet<u32> = serde_json::from_value(self.0["ignored"].clone()).unwrap();
        EvalSettings { ignored, ..EvalSettings::default() }
    }

    fn check(&self, name: &str, how: &str, report: &Report) {
        let expected = &self.0["sources"][name][how];
        let metrics = expected["metrics"].as_object().unwrap();
        assert_eq!(report.metrics().len(), metrics.len());
        for (metric, value) in metrics {
            let (found, value) = (report.metric(metric).unwrap(), value.as_f64().unwrap());
            let place = format!("{name}, {how}, {metric}: found {found}, expected {value}");
            assert!((found - value).abs() <= 1e-4 * (0.01 + value.abs()), "{place}");
        }
        let counts = |key: &str| -> Vec<u64> { serde_json::from_value(expected["features"][key].clone()).unwrap() };
        assert_eq!(report.feature_tokens(), counts("tokens"), "{name}, {how}");
        assert_eq!(report.feature_sequences(), counts("sequences"), "{name}, {how}");
    }
}

async fn evaluate(
    worker: &Worker,
    prompts: &[Vec<u32>],
    sources: Vec<Arc<Source>>,
    settings: &EvalSettings,
) -> Vec<Sums> {
    let pass = Evaluate::new(worker.model(), sources, settings.clone()).unwrap();
    worker.run(prompts.to_vec(), pass).await.unwrap()
}

fn assert_same(one: &Report, other: &Report, tolerance: f64, what: &str) {
    for ((name, value), (_, other)) in one.metrics().into_iter().zip(other.metrics()) {
        let is_same = value == other || (value - other).abs() <= tolerance * (1.0 + other.abs());
        assert!(is_same || value.is_nan() && other.is_nan(), "{what}, {name}: {value} and {other}");
    }
    assert_eq!(one.feature_tokens(), other.feature_tokens(), "{what}");
    assert_eq!(one.feature_sequences(), other.feature_sequences(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_those_of_saelens() {
    let (expected, worker) = (Expected::load(), worker("gpt2", 2048));
    for (how, replaces_ignored) in [("original", false), ("replaced", true)] {
        let settings = EvalSettings { replaces_ignored, ..expected.settings() };
        let found = evaluate(&worker, &expected.prompts(), sources(), &settings).await;
        for (name, sums) in SOURCES.iter().zip(found) {
            expected.check(name, how, &sums.report());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metric_depends_on_how_sequences_are_cut_into_batches() {
    let expected = Expected::load();
    let (prompts, settings) = (expected.prompts(), expected.settings());
    let whole = evaluate(&worker("gpt2", 2048), &prompts, sources(), &settings).await;
    let one_by_one = evaluate(&worker("gpt2", 1), &prompts, sources(), &settings).await;
    let worker = worker("gpt2", 20);
    let mut added: Vec<Sums> = sources().iter().map(|source| Sums::new(source.config())).collect();
    for some in prompts.chunks(3) {
        for (sums, own) in added.iter_mut().zip(evaluate(&worker, some, sources(), &settings).await) {
            sums.add(&own).unwrap();
        }
    }
    for (whole, (one_by_one, added)) in whole.iter().zip(one_by_one.iter().zip(&added)) {
        assert_same(&one_by_one.report(), &whole.report(), 1e-5, "one by one");
        assert_same(&added.report(), &whole.report(), 1e-5, "in chunks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_that_blocks_cut_through_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = crate::features::source(folder.path(), "standard", 32);
    let (prompts, settings) = (crate::features::prompts(), EvalSettings::default());
    let reports = [2048, 1].map(|batch_tokens| {
        let (source, prompts, settings) = (Arc::clone(&source), &prompts, &settings);
        async move { evaluate(&worker("gpt2", batch_tokens), prompts, vec![source], settings).await.remove(0).report() }
    });
    let [whole, one_by_one] = reports;
    let (whole, one_by_one) = (whole.await, one_by_one.await);
    for name in ["l0", "l1", "explained_variance", "kl_div_with_sae", "ce_loss_with_sae"] {
        let (one, other) = (whole.metric(name).unwrap(), one_by_one.metric(name).unwrap());
        assert!((one - other).abs() <= 1e-4 * (0.01 + other.abs()), "{name}: {one} and {other}");
    }
    // Rounding may make a feature active that was not.
    let apart = |one: &[u64], other: &[u64]| -> u64 { one.iter().zip(other).map(|(a, b)| a.abs_diff(*b)).sum() };
    let all: u64 = whole.feature_sequences().iter().sum();
    assert!(all > 10_000);
    assert!(apart(whole.feature_tokens(), one_by_one.feature_tokens()) <= 20);
    assert!(apart(whole.feature_sequences(), one_by_one.feature_sequences()) <= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn neurons_describe_themselves_in_every_family() {
    let prompts = Expected::load().prompts();
    for family in ["gpt2", "neox", "llama", "gemma2", "qwen3"] {
        let worker = worker(family, 64);
        let neurons = Arc::new(Source::neurons(1, 48));
        let report = evaluate(&worker, &prompts, vec![neurons], &EvalSettings::default()).await.remove(0).report();
        let tokens: usize = prompts.iter().map(Vec::len).sum();
        assert_eq!(report.tokens(), tokens as u64);
        for name in ["explained_variance", "cossim", "l2_ratio", "ce_loss_score", "kl_div_score"] {
            let value = report.metric(name).unwrap();
            assert!((value - 1.0).abs() < 1e-6, "{family}, {name}: {value}");
        }
        let [clean, with, without] = ["ce_loss_without_sae", "ce_loss_with_sae", "ce_loss_with_ablation"]
            .map(|name| report.metric(name).unwrap());
        assert!((clean - with).abs() < 1e-6 && (clean - without).abs() > 1e-3, "{family}: {clean}, {with}, {without}");
        assert_eq!(report.densities().len(), 48);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_are_those_of_the_whole_logits() {
    let expected = Expected::load();
    let prompts = expected.prompts();
    for family in ["gemma2", "neox-sequential"] {
        let worker = worker(family, 64);
        let source = source("jumprelu", true);
        let sums = evaluate(&worker, &prompts, vec![Arc::clone(&source)], &EvalSettings::default()).await.remove(0);
        let (loss, divergence) = plain_losses(worker.model(), &source, &prompts);
        for (name, value) in [("ce_loss_with_sae", loss), ("kl_div_with_sae", divergence)] {
            let found = sums.report().metric(name).unwrap();
            assert!((found - value).abs() <= 1e-4 * (1.0 + value.abs()), "{family}, {name}: {found} and {value}");
        }
    }
}

/// Mean loss with the reconstruction in place and mean divergence, prompt by prompt from all logits.
fn plain_losses(model: &Model, source: &Source, prompts: &[Vec<u32>]) -> (f64, f64) {
    let log_shares = |logits: Tensor| -> Vec<Vec<f64>> {
        let logits = logits.to_dtype(DType::F64).unwrap();
        let total = logits.exp().unwrap().sum_keepdim(1).unwrap().log().unwrap();
        logits.broadcast_sub(&total).unwrap().to_vec2().unwrap()
    };
    let (mut losses, mut divergences) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let batch = Batch::new(&[prompt]).unwrap();
        let mut place = Edit::new(source.config().point, |value, _: &Batch| source.forward(&value, &[]));
        let until = Until::Logits(LogitRows::All);
        let with = log_shares(model.forward(&batch, &mut place, until).unwrap().unwrap());
        let clean = log_shares(model.forward(&batch, &mut Capture::default(), until).unwrap().unwrap());
        losses.extend(prompt.iter().skip(1).zip(&with).map(|(next, row)| -row[*next as usize]));
        let divergence = |(clean, with): (&Vec<f64>, &Vec<f64>)| -> f64 {
            clean.iter().zip(with).map(|(clean, with)| clean.exp() * (clean - with)).sum()
        };
        divergences.extend(clean.iter().zip(&with).map(divergence));
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    (mean(&losses), mean(&divergences))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_losses_the_rest_is_the_same() {
    let (expected, worker) = (Expected::load(), worker("gpt2", 64));
    let (prompts, settings) = (expected.prompts(), expected.settings());
    let all = evaluate(&worker, &prompts, sources(), &settings).await;
    let less = EvalSettings { measures_loss: false, ..settings };
    for (all, some) in all.iter().zip(evaluate(&worker, &prompts, sources(), &less).await) {
        let (all, some) = (all.report(), some.report());
        for name in ["l0", "l1", "explained_variance", "cossim", "frac_alive"] {
            assert_eq!(all.metric(name), some.metric(name), "{name}");
        }
        assert!(some.metric("ce_loss_score").unwrap().is_nan());
        assert_eq!(some.metric("total_tokens_eval_reconstruction"), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tokens_give_no_metrics() {
    let worker = worker("gpt2", 64);
    let settings = EvalSettings { ignored: HashSet::from([5]), ..EvalSettings::default() };
    for prompts in [vec![], vec![vec![5, 5], vec![5]]] {
        let report = evaluate(&worker, &prompts, vec![source("jumprelu", false)], &settings).await.remove(0).report();
        assert_eq!(report.tokens(), 0);
        assert!(report.metric("l0").unwrap().is_nan() && report.metric("ce_loss_with_sae").unwrap().is_nan());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_refused_with_a_reason() {
    let worker = worker("gpt2", 64);
    let settings = EvalSettings::default();
    let refused = |source: Source| Evaluate::new(worker.model(), vec![Arc::new(source)], settings.clone()).unwrap_err();
    let error = refused(Case::load("cross_layer").open(false));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.hint().unwrap().contains("cross-layer"), "{error}");

    let narrow = Arc::new(Source::neurons(0, 47));
    let wide = Evaluate::new(worker.model(), vec![narrow], settings.clone()).unwrap();
    let error = worker.run(vec![vec![1, 2]], wide).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("47") && error.message().contains("48"), "{error}");

    let deep = Evaluate::new(worker.model(), vec![Arc::new(Source::neurons(7, 48))], settings).unwrap();
    let error = worker.run(vec![vec![1, 2]], deep).await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("blocks.7"), "{error}");

    let (one, other) = (Sums::new(source("jumprelu", false).config()), Source::neurons(0, 48));
    let error = Sums::new(other.config()).add(&one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_edit_may_not_change_the_shape() {
    let model = Model::open(&golden("models/gpt2"), &OpenModel::default()).unwrap();
    let point = Point::new(Place::Z, 0);
    let mut edit = Edit::new(point, |_, _: &Batch| Ok(Tensor::zeros((1, 32), DType::F32, &Device::Cpu)?));
    let batch = Batch::new(&[[1u32, 2, 3]]).unwrap();
    let error = model.forward(&batch, &mut edit, Until::Logits(LogitRows::Last)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains("attn.hook_z"), "{error}");
}

#[test]
fn blocks_of_a_reconstruction_are_the_whole_in_parts() {
    for name in ["temporal", "skip_transcoder", "topk", "standard_layer_norm", "matching_pursuit"] {
        let case = Case::load(name);
        let (source, x, sequences) = (case.open(false), case.input(), case.sequences());
        let whole = source.forward(&x, &sequences).unwrap();
        let features = source.encode(&x, &sequences).unwrap();
        let mut parts = Vec::new();
        let look = |block: latentdb_runtime::source::Reconstruction| {
            parts.push((block.features, block.output));
            Ok(())
        };
        source.reconstruct_in_blocks(&x, &sequences, look).unwrap();
        let (found, outputs): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        crate::source_cases::assert_close(&Tensor::cat(&found, 0).unwrap(), &features, true, name);
        crate::source_cases::assert_close(&Tensor::cat(&outputs, 0).unwrap(), &whole, false, name);
    }
}

//! Lenses against torch: Jacobians by autograd, read and steered by in plain torch (`golden/lens/make.py`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use latentdb_runtime::generate::{Event, FinishReason, Read, Request};
use latentdb_runtime::lens::{JacobianLens, Lens, Readout};
use latentdb_runtime::ops::{Intervene, Lenses};
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::steer::{Change, Intervention, Limits};
use latentdb_runtime::{ErrorKind, Place, Point};

const FAMILIES: [&str; 3] = ["gpt2", "gemma2", "gemma3"];
const READ: [u32; 5] = [1, 11, 29, 3, 50];
const TOKENS: [u32; 2] = [9, 30];

/// Values are compared to this share of the largest in their row.
const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn expected() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden("lens/expected.safetensors"), &Device::Cpu).unwrap()
}

fn worker(family: &str) -> Worker {
    let service = Service::new(ServiceOptions::default()).unwrap();
    service.model(&ModelKey { directory: golden("models").join(family), dtype: None }).unwrap()
}

fn lens(name: &str) -> Arc<JacobianLens> {
    Arc::new(JacobianLens::open(&golden("lens").join(name), &Device::Cpu).unwrap())
}

fn both(worker: &Worker, family: &str, top_k: usize) -> Readout {
    let lenses = vec![Lens::Logit, Lens::Jacobian(lens(&format!("{family}.pt")))];
    Readout::new(worker.model().config(), lenses, &[], top_k, false).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE * scale, "{what}: {found}, expected {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_lenses_show_what_torch_computes() {
    let expected = expected();
    for family in FAMILIES {
        let worker = worker(family);
        let config = worker.model().config();
        let pass = Lenses::new(both(&worker, family, config.d_vocab));
        let found = worker.run(vec![READ.to_vec()], pass).await.unwrap().pop().unwrap();
        for (number, kind) in ["logit", "jacobian"].into_iter().enumerate() {
            for layer in 0..config.n_layers {
                let rows: Vec<Vec<f32>> = expected[&format!("{family}.{kind}.{layer}")].to_vec2().unwrap();
                for (position, row) in rows.iter().enumerate() {
                    let said = &found[position][number][layer];
                    let mut logits = vec![0.0; row.len()];
                    said.iter().for_each(|likely| logits[likely.token as usize] = likely.logit);
                    assert_close(&logits, row, &format!("{family}, {kind} of layer {layer} at {position}"));
                    assert!(said.is_sorted_by(|one, other| one.logit >= other.logit));
                    let whole: f32 = said.iter().map(|likely| likely.probability).sum();
                    assert!((whole - 1.0).abs() < 1e-4);
                }
            }
        }
    }
}

#[test]
fn a_token_is_seen_along_the_transposed_jacobian() {
    let expected = expected();
    for family in FAMILIES {
        for file in [format!("{family}.pt"), format!("{family}.safetensors")] {
            let row = worker(family).model().unembedding_vector(TOKENS[0]).unwrap();
            let direction: Vec<f32> = expected[&format!("{family}.direction")].to_vec1().unwrap();
            assert_close(&lens(&file).direction(0, &row).unwrap(), &direction, &file);
        }
        assert_eq!(lens(&format!("{family}.pt")).n_prompts(), Some(2));
    }
}

#[test]
fn what_a_lens_sees_is_added_taken_out_and_swapped() {
    let expected = expected();
    for family in FAMILIES {
        let worker = worker(family);
        let lens = lens(&format!("{family}.pt"));
        let [one, other] = TOKENS.map(|token| {
            let seen = lens.direction(0, &worker.model().unembedding_vector(token).unwrap()).unwrap();
            let length = seen.iter().map(|value| value * value).sum::<f32>().sqrt();
            seen.into_iter().map(|value| value / length).collect::<Arc<[f32]>>()
        });
        let twice: Arc<[f32]> = one.iter().zip(other.iter()).map(|(one, other)| 2.0 * (one + other)).collect();
        for (name, change) in [
            ("add", Change::AddShare { direction: Arc::clone(&one), strength: 0.7 }),
            ("add_capped", Change::AddShare { direction: twice, strength: 0.7 }),
            ("ablate", Change::Orthogonal { direction: Arc::clone(&one), strength: 0.0 }),
            ("swap", Change::Swap { from: Arc::clone(&one), to: Arc::clone(&other) }),
        ] {
            let point = Point::new(Place::ResidPost, 0);
            let both = Intervene {
                prompt: READ.to_vec(),
                interventions: vec![Intervention::new(point, change)],
                freeze_attention: false,
                positions: None,
            };
            let found = both.run(worker.model(), &Limits::default()).unwrap().changed;
            let rows: Vec<Vec<f32>> = expected[&format!("{family}.{name}")].to_vec2().unwrap();
            for (position, (found, row)) in found.iter().zip(&rows).enumerate() {
                assert_close(found, row, &format!("{family}, {name} at {position}"));
            }
        }
    }
}

/// What is read while a text is written, its tokens, and how it ended.
async fn written(worker: &Worker, request: Request) -> (Vec<Read>, Vec<u32>, FinishReason) {
    let (mut reads, mut tokens) = (Vec::new(), Vec::new());
    let mut generation = worker.generate(request).await.unwrap();
    while let Some(event) = generation.next().await {
        match event.unwrap() {
            Event::Read(read) => reads.push(read),
            Event::Token(token) => tokens.push(token.id),
            Event::Finish(finish) => return (reads, tokens, finish.reason),
        }
    }
    panic!("the text does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_read_as_it_is_written() {
    let worker = worker("gemma3");
    let mut request = Request::new(READ.to_vec(), 6);
    request.stop.tokens = Some(Vec::new());
    request.readout = Some(both(&worker, "gemma3", 3));
    let (reads, tokens, reason) = written(&worker, request.clone()).await;
    assert_eq!((tokens.len(), reason), (6, FinishReason::Length));
    let whole = [READ.as_slice(), &tokens].concat();
    assert_eq!(reads.iter().map(|read| read.token).collect::<Vec<_>>(), whole);
    assert!(reads.iter().enumerate().all(|(position, read)| read.position == position));
    let pass = Lenses::new(both(&worker, "gemma3", 3));
    let at_once = worker.run(vec![whole.clone()], pass).await.unwrap().pop().unwrap();
    for (read, at_once) in reads.iter().zip(&at_once) {
        for (one, other) in read.said.iter().flatten().flatten().zip(at_once.iter().flatten().flatten()) {
            assert_eq!(one.token, other.token, "position {}", read.position);
            assert!((one.logit - other.logit).abs() < 1e-3, "position {}", read.position);
        }
    }
    // The likeliest token of the last layer is the next one.
    for (read, next) in reads[READ.len() - 1..].iter().zip(&tokens) {
        assert_eq!(read.said[0].last().unwrap()[0].token, *next);
    }

    // A token that ends the text is read, but is not one of its tokens.
    request.stop.tokens = Some(vec![tokens[2]]);
    let (reads, kept, reason) = written(&worker, request.clone()).await;
    let first = tokens.iter().position(|token| *token == tokens[2]).unwrap();
    assert_eq!((kept.len(), reason), (first, FinishReason::Stop(tokens[2])));
    assert_eq!(reads.len(), READ.len() + first + 1);

    // Nothing is written, and what is known is not read again.
    request.max_tokens = 0;
    request.readout.as_mut().unwrap().from = 3;
    let (reads, kept, _) = written(&worker, request).await;
    assert!(kept.is_empty());
    assert_eq!(reads.iter().map(|read| read.position).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn layers_are_chosen_and_marks_left_out_but_for_the_models_own_choice() {
    let worker = worker("gemma3");
    let config = worker.model().config();
    let lens = || vec![Lens::Logit, Lens::Jacobian(lens("gemma3.pt"))];
    let readout = Readout::new(config, lens(), &[1, 3], 4, true).unwrap();
    assert_eq!(readout.layers().collect::<Vec<_>>(), [[1, 3, 5], [1, 3, 5]]);
    let error = Readout::new(config, lens(), &[6], 4, false).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains('6'), "{error}");
    let other = self::worker("gpt2");
    let error = Readout::new(other.model().config(), lens(), &[], 4, false).unwrap_err();
    assert!(error.message().contains("layers"), "{error}");
}

#[test]
fn a_file_that_is_no_lens_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, word: &str| {
        let error = JacobianLens::open(path, &Device::Cpu).unwrap_err();
        assert!(error.message().contains(word), "{error}");
    };
    refused(folder.path(), "no file of a lens");
    refused(&folder.path().join("none.pt"), "none.pt");
    let write = |name: &str, tensor: Tensor| {
        let path = folder.path().join("lens.safetensors");
        candle_core::safetensors::save(&HashMap::from([(name.to_owned(), tensor)]), &path).unwrap();
        path
    };
    let square = Tensor::ones((4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    refused(&write("J.x", square.clone()), "J.x");
    refused(&write("J.0", square.narrow(0, 0, 3).unwrap()), "[3, 4]");
    refused(&write("J.0", (&square / 0.0).unwrap()), "finite");
    let whole = write("J.2", square);
    assert_eq!(JacobianLens::open(folder.path(), &Device::Cpu).unwrap().layers().collect::<Vec<_>>(), [2]);
    let cut = std::fs::read(&whole).unwrap();
    std::fs::write(&whole, &cut[..cut.len() / 2]).unwrap();
    refused(&whole, "lens.safetensors");
    // Another file of tensors.
    let source = golden("evals").join("jumprelu/sae_weights.safetensors");
    refused(&source, "sae_weights.safetensors");
}

//! Models of every family against Hugging Face's own code (`golden/models/make.py`).

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use latentdb_runtime::model::{Batch, Cache, Capture, LogitRows, Model, NoTap, OpenOptions, Tap, Until};
use latentdb_runtime::{Place, Point, Result};

const FAMILIES: &[&str] =
    &["gpt2", "neox", "neox-sequential", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];

/// Values are compared to this share of the largest in their row.
const TOLERANCE: f32 = 1e-4;

/// What nothing may change at all, but for the order of sums.
const SAME: f32 = 1e-5;

struct Golden {
    model: Model,
    tokens: Vec<u32>,
    expected: HashMap<String, Tensor>,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name)
}

fn golden(name: &str) -> Golden {
    let folder = folder(name);
    let model = Model::open(&folder, &OpenOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let tokens = serde_json::from_str(&std::fs::read_to_string(folder.join("inputs.json")).unwrap()).unwrap();
    let expected = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
    Golden { model, tokens, expected }
}

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    let last = *tensor.dims().last().unwrap();
    tensor.reshape(((), last)).unwrap().to_vec2().unwrap()
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    for (row, (found, expected)) in rows(found).iter().zip(rows(expected)).enumerate() {
        let scale = expected.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= tolerance * scale, "{what}, row {row}: {found}, expected {expected}");
        }
    }
}

fn logits(model: &Model, batch: &Batch) -> Tensor {
    model.forward(batch, &mut NoTap, Until::Logits(LogitRows::All)).unwrap().unwrap()
}

#[test]
fn logits_and_every_point_are_those_of_hugging_face() {
    for name in FAMILIES {
        let golden = golden(name);
        let batch = Batch::new(&[&golden.tokens]).unwrap();
        let points: Vec<Point> = golden.expected.keys().filter_map(|key| key.parse().ok()).collect();
        assert!(points.len() > 30, "{name} has {} points", points.len());
        let mut capture = Capture::new(points.clone());
        let until = Until::Logits(LogitRows::All);
        let found = golden.model.forward(&batch, &mut capture, until).unwrap().unwrap();
        assert_close(&found, &golden.expected["logits"], TOLERANCE, &format!("{name} logits"));
        for point in points {
            let found = match point.place {
                Place::Pattern => capture.pattern(point, 0),
                _ => capture.get(point),
            };
            let found = found.unwrap_or_else(|| panic!("{name} shows nothing at {point}"));
            assert_close(found, &golden.expected[&point.to_string()], TOLERANCE, &format!("{name} {point}"));
        }
    }
}

/// Doubles the stream at position 5.
struct Double(Point);

impl Tap for Double {
    fn wants(&self, point: Point) -> bool {
        point == self.0
    }

    fn visit(&mut self, _point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        let rows = value.dim(0)?;
        let factors: Vec<f32> = (0..rows).map(|row| if row == 5 { 2.0 } else { 1.0 }).collect();
        Ok(value.broadcast_mul(&Tensor::from_vec(factors, (rows, 1), value.device())?)?)
    }
}

#[test]
fn a_value_that_is_replaced_changes_what_follows_as_a_hook_does() {
    for name in FAMILIES {
        let golden = golden(name);
        let batch = Batch::new(&[&golden.tokens]).unwrap();
        let mut double = Double(Point::new(Place::ResidPre, golden.model.config().n_layers - 1));
        let until = Until::Logits(LogitRows::All);
        let found = golden.model.forward(&batch, &mut double, until).unwrap().unwrap();
        assert_close(&found, &golden.expected["replaced"], TOLERANCE, name);
    }
}

#[test]
fn neither_batch_mates_nor_their_lengths_change_a_result() {
    for name in FAMILIES {
        let golden = golden(name);
        let (tokens, model) = (&golden.tokens, &golden.model);
        let alone = logits(model, &Batch::new(&[tokens]).unwrap());
        let others = [&tokens[..3], tokens, &tokens[4..5], tokens, &tokens[2..9]];
        let batch = Batch::new(&others).unwrap();
        let together = logits(model, &batch);
        let last = model.forward(&batch, &mut NoTap, Until::Logits(LogitRows::Last)).unwrap().unwrap();
        for (sequence, rows) in batch.sequences().iter().enumerate() {
            let found = together.narrow(0, rows.start, rows.len()).unwrap();
            let expected = match sequence {
                1 | 3 => alone.clone(),
                _ => logits(model, &Batch::new(&[others[sequence]]).unwrap()),
            };
            assert_close(&found, &expected, SAME, &format!("{name}, sequence {sequence}"));
            let row = last.narrow(0, sequence, 1).unwrap();
            assert_close(&row, &found.narrow(0, rows.len() - 1, 1).unwrap(), SAME, name);
        }
    }
}

#[test]
fn a_cache_changes_no_result() {
    for name in FAMILIES {
        let golden = golden(name);
        let (tokens, model) = (&golden.tokens, &golden.model);
        let sequences = [&tokens[..7], &tokens[1..11]];
        let until = Until::Logits(LogitRows::Last);
        let mut cache = Cache::new(model.config(), 2);
        let start = Batch::new(&[&sequences[0][..3], &sequences[1][..6]]).unwrap();
        model.forward_cached(&start, &mut cache, &mut NoTap, until).unwrap();
        for step in 0..4 {
            let next = Batch::new(&[&sequences[0][3 + step..4 + step], &sequences[1][6 + step..7 + step]]).unwrap();
            let found = model.forward_cached(&next, &mut cache, &mut NoTap, until).unwrap().unwrap();
            let whole = Batch::new(&[&sequences[0][..4 + step], &sequences[1][..7 + step]]).unwrap();
            let expected = model.forward(&whole, &mut NoTap, until).unwrap().unwrap();
            assert_close(&found, &expected, SAME, &format!("{name}, step {step}"));
        }
        assert_eq!(cache.lengths(), [7, 10]);
    }
}

#[test]
fn a_pass_that_ends_early_has_seen_the_same() {
    for name in FAMILIES {
        let golden = golden(name);
        let batch = Batch::new(&[&golden.tokens]).unwrap();
        for place in [Place::ResidPre, Place::Z, Place::ResidMid, Place::MlpPost, Place::ResidPost] {
            let point = Point::new(place, 0);
            let Some(expected) = golden.expected.get(&point.to_string()) else { continue };
            let mut capture = Capture::new([point, Point::new(Place::ResidPost, 1)]);
            let until = Until::Point(point);
            assert!(golden.model.forward(&batch, &mut capture, until).unwrap().is_none());
            assert_close(capture.get(point).unwrap(), expected, TOLERANCE, &format!("{name} {point}"));
            assert!(capture.get(Point::new(Place::ResidPost, 1)).is_none(), "{name} went on after {point}");
        }
    }
}

#[test]
fn looking_at_a_point_changes_nothing() {
    for name in FAMILIES {
        let golden = golden(name);
        let batch = Batch::new(&[&golden.tokens]).unwrap();
        let points: Vec<Point> = golden.expected.keys().filter_map(|key| key.parse().ok()).collect();
        let until = Until::Logits(LogitRows::All);
        let seen = golden.model.forward(&batch, &mut Capture::new(points), until).unwrap().unwrap();
        assert_close(&seen, &logits(&golden.model, &batch), SAME, name);
    }
}

#[test]
fn the_logit_lens_of_the_last_stream_is_the_models_answer() {
    for name in FAMILIES {
        let golden = golden(name);
        let batch = Batch::new(&[&golden.tokens]).unwrap();
        let point = Point::new(Place::ResidPost, golden.model.config().n_layers - 1);
        let mut capture = Capture::new([point]);
        golden.model.forward(&batch, &mut capture, Until::Point(point)).unwrap();
        let lens = golden.model.unembed(capture.get(point).unwrap()).unwrap();
        assert_close(&lens, &golden.expected["logits"], TOLERANCE, name);
        let direction = golden.model.unembedding_vector(7).unwrap();
        assert_eq!(direction.len(), golden.model.config().d_model);
    }
}

#[test]
fn tokens_and_lengths_that_a_model_does_not_have_are_refused() {
    let golden = golden("gpt2");
    let until = Until::Logits(LogitRows::Last);
    let unknown = Batch::new(&[&[1u32, 64]]).unwrap();
    let error = golden.model.forward(&unknown, &mut NoTap, until).unwrap_err();
    assert!(error.message().contains("64") && error.hint().is_some(), "{error}");
    let long = Batch::new(&[vec![1u32; 65]]).unwrap();
    let error = golden.model.forward(&long, &mut NoTap, until).unwrap_err();
    assert!(error.message().contains("65") && error.message().contains("64"), "{error}");
    assert!(Batch::new(&[&[] as &[u32]]).is_err());
    assert!(Batch::new(&[] as &[&[u32]]).is_err());
}

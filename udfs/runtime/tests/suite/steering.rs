//! Steered texts against interp-engine's eager path, and hooks in plain torch (`golden/steering/make.py`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use latentdb_runtime::generate::Request;
use latentdb_runtime::model::{Batch, Cache, LogitRows, Model, OpenOptions, Until};
use latentdb_runtime::ops::Intervene;
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions};
use latentdb_runtime::source::{OpenOptions as OpenSource, Source};
use latentdb_runtime::steer::{Change, Intervention, Limits, Plan, Positions, SteerTap, Steered, Which};
use latentdb_runtime::{ErrorKind, Place, Point};
use serde_json::Value;

/// Logits are compared to this share of the largest in their row.
const TOLERANCE: f32 = 1e-4;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn model(family: &str) -> Model {
    Model::open(&golden("models").join(family), &OpenOptions::default()).unwrap()
}

fn prompt(family: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(golden("models").join(family).join("inputs.json")).unwrap();
    let all: Vec<u32> = serde_json::from_str(&text).unwrap();
    all[..8].to_vec()
}

fn source(name: &str) -> Arc<Source> {
    let options = OpenSource { fold_decoder_norm: false, ..OpenSource::default() };
    Arc::new(Source::open(&golden("evals").join(name), &options).unwrap())
}

fn direction(values: &[f32]) -> Arc<[f32]> {
    values.into()
}

struct Goldens {
    cases: Vec<Value>,
    tensors: HashMap<String, Tensor>,
}

impl Goldens {
    fn read() -> Self {
        let cases = std::fs::read_to_string(golden("steering/cases.json")).unwrap();
        let tensors = candle_core::safetensors::load(golden("steering/expected.safetensors"), &Device::Cpu).unwrap();
        Self { cases: serde_json::from_str(&cases).unwrap(), tensors }
    }

    fn vector(&self, family: &str, number: u64) -> Arc<[f32]> {
        let name = if number == 2 { format!("vector.{family}") } else { format!("vector.{number}") };
        direction(&self.tensors[&name].to_vec1::<f32>().unwrap())
    }

    fn interventions(&self, case: &Value) -> Vec<Intervention> {
        let family = case["family"].as_str().unwrap();
        if let Some(name) = case["source"].as_str() {
            let (index, value) = (case["index"].as_u64().unwrap() as usize, case["value"].as_f64().unwrap() as f32);
            let change = |feature| match case["method"].as_str().unwrap() {
                "set" => Change::Set { feature, value },
                "ablate" => Change::ablate(feature),
                _ => Change::Scale { feature, factor: value },
            };
            return vec![Intervention::feature(source(name), index, change)];
        }
        let positions = Positions {
            which: if case["prompt_only"] == true { Which::Prompt } else { Which::All },
            skip_special: case["skip_special"] == true,
        };
        let operations = case["operations"].as_array().into_iter().flatten();
        let intervention = |operation: &Value| {
            let direction = self.vector(family, operation[2].as_u64().unwrap());
            let value = operation[3].as_f64().unwrap() as f32;
            let change = match operation[1].as_str().unwrap() {
                "additive" => Change::Add { direction, strength: value },
                "orthogonal" => Change::Orthogonal { direction, strength: value },
                _ => Change::Cap { direction, most: value },
            };
            Intervention::new(operation[0].as_str().unwrap().parse().unwrap(), change).at(positions.clone())
        };
        operations.map(intervention).collect()
    }
}

/// Greedy tokens, and the logits that they were chosen by.
fn text(model: &Model, prompt: &[u32], interventions: &[Intervention], steps: usize) -> (Vec<u32>, Vec<Vec<f32>>) {
    let plan = Plan::new(model, prompt, interventions, &Limits::default()).unwrap();
    let mut cache = Cache::new(model.config(), 1);
    let (mut tokens, mut all) = (Vec::new(), Vec::new());
    let mut next = prompt.to_vec();
    for _ in 0..steps {
        let mut tap = SteerTap::new(vec![Steered { plan: &plan, start: cache.lengths()[0] }]);
        let batch = Batch::new(&[&next]).unwrap();
        let logits = match next.len() {
            1 => model.step(&batch, &mut cache, &mut tap),
            _ => model.forward_cached(&batch, &mut cache, &mut tap, Until::Logits(LogitRows::Last)),
        };
        let row: Vec<f32> = logits.unwrap().unwrap().get(0).unwrap().to_vec1().unwrap();
        let best = (0..row.len()).max_by(|one, other| row[*one].total_cmp(&row[*other])).unwrap();
        tokens.push(best as u32);
        all.push(row);
        next = vec![best as u32];
    }
    (tokens, all)
}

#[test]
fn steered_texts_and_logits_are_those_of_interp_engine() {
    let goldens = Goldens::read();
    let mut changed = 0;
    let mut opened: HashMap<String, Model> = HashMap::new();
    for case in &goldens.cases {
        let family = case["family"].as_str().unwrap();
        let what = format!("{family}.{}", case["name"].as_str().unwrap());
        let model = opened.entry(family.to_owned()).or_insert_with(|| model(family));
        let (tokens, logits) = text(model, &prompt(family), &goldens.interventions(case), 6);
        let expected: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        assert_eq!(tokens, expected, "{what}");
        let rows: Vec<Vec<f32>> = goldens.tensors[&what].to_vec2().unwrap();
        let plain: Vec<Vec<f32>> = goldens.tensors[&format!("{family}.none")].to_vec2().unwrap();
        changed += usize::from(rows != plain);
        for (step, (found, expected)) in logits.iter().zip(&rows).enumerate() {
            let scale = expected.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= TOLERANCE * scale, "{what}, step {step}: {found}, not {expected}");
            }
        }
    }
    assert!(changed >= goldens.cases.len() - 20, "{changed} of {} cases change anything", goldens.cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_writes_the_same_texts() {
    let goldens = Goldens::read();
    let service = Service::new(ServiceOptions::default()).unwrap();
    let mut asked = Vec::new();
    for case in &goldens.cases {
        let family = case["family"].as_str().unwrap();
        let worker = service.model(&ModelKey { directory: golden("models").join(family), dtype: None }).unwrap();
        let mut request = Request::new(prompt(family), 6);
        request.stop.tokens = Some(Vec::new());
        request.interventions = goldens.interventions(case);
        asked.push(worker.generate(request).await.unwrap());
    }
    for (case, generation) in goldens.cases.iter().zip(asked) {
        let found: Vec<u32> = generation.whole().await.unwrap().tokens.iter().map(|token| token.id).collect();
        let expected: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        assert_eq!(found, expected, "{} {}", case["family"], case["name"]);
    }
}

#[test]
fn no_strength_is_no_steering_to_the_bit() {
    let post = Point::new(Place::ResidPost, 0);
    let (vector, feature) = (direction(&[0.5; 32]), source("jumprelu"));
    let nothing = [
        Intervention::new(post, Change::Add { direction: Arc::clone(&vector), strength: 0.0 }),
        Intervention::new(post, Change::Orthogonal { direction: Arc::clone(&vector), strength: 1.0 }),
        Intervention::feature(feature, 3, |feature| Change::Scale { feature, factor: 1.0 }),
    ];
    for family in ["gpt2", "gemma3"] {
        let model = model(family);
        assert!(Plan::new(&model, &prompt(family), &nothing, &Limits::default()).unwrap().is_empty());
        assert_eq!(text(&model, &prompt(family), &nothing, 5), text(&model, &prompt(family), &[], 5));
        let elsewhere = Positions { which: Which::Chosen(Vec::new()), skip_special: false };
        let nowhere =
            [Intervention::new(post, Change::Add { direction: Arc::clone(&vector), strength: 9.0 }).at(elsewhere)];
        assert_eq!(text(&model, &prompt(family), &nowhere, 5), text(&model, &prompt(family), &[], 5));
    }
}

#[test]
fn positions_are_those_that_were_chosen() {
    let model = model("llama");
    let prompt = prompt("llama");
    let add = || Change::Add { direction: direction(&[0.3; 32]), strength: 4.0 };
    let at = |which: Which| {
        let positions = Positions { which, skip_special: false };
        [Intervention::new(Point::new(Place::ResidPre, 1), add()).at(positions)]
    };
    let rows = |interventions: &[Intervention]| {
        let asked = Intervene {
            prompt: prompt.clone(),
            interventions: interventions.to_vec(),
            freeze_attention: false,
            positions: None,
        };
        asked.run(&model, &Limits::default()).unwrap()
    };
    let found = rows(&at(Which::Chosen(vec![5])));
    assert_eq!(found.plain[..5], found.changed[..5]);
    assert!((5..8).all(|row| found.plain[row] != found.changed[row]));
    let of_generated = rows(&at(Which::Generated));
    assert_eq!(of_generated.plain, of_generated.changed);
    let (_, plain) = text(&model, &prompt, &[], 3);
    let (_, generated) = text(&model, &prompt, &at(Which::Generated), 3);
    assert_eq!(plain[0], generated[0]);
    assert_ne!(plain[1], generated[1]);
    let only =
        Intervene { prompt, interventions: at(Which::All).to_vec(), freeze_attention: true, positions: Some(vec![7]) };
    let frozen = only.run(&model, &Limits::default()).unwrap();
    let free = Intervene { freeze_attention: false, ..only }.run(&model, &Limits::default()).unwrap();
    assert_eq!((frozen.plain.len(), frozen.changed.len()), (1, 1));
    assert_ne!(frozen.changed, free.changed);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    let model = model("neox");
    let prompt = prompt("neox");
    let post = Point::new(Place::ResidPost, 0);
    let refused = |intervention: Intervention| {
        let error = Plan::new(&model, &prompt, &[intervention], &Limits::default()).unwrap_err();
        assert!(error.message().contains("intervention 1"), "{error}");
        (error.kind(), error.to_string())
    };
    let add = |point: Point, values: &[f32], strength: f32| {
        Intervention::new(point, Change::Add { direction: direction(values), strength })
    };
    let invalid = |intervention: Intervention, says: &str| {
        let (kind, message) = refused(intervention);
        assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
        assert!(message.contains(says), "{message}");
    };
    invalid(add(post, &[0.0; 32], 1.0), "no direction");
    invalid(add(post, &[f32::NAN; 32], 1.0), "finite");
    invalid(add(post, &[1.0; 31], 1.0), "31");
    invalid(add(post, &[1.0; 32], 1e30), "1e30");
    invalid(add(post, &[1.0; 32], f32::INFINITY), "inf");
    invalid(add(post, &[1e20; 32], 1.0), "length");
    invalid(add(Point::new(Place::ResidPost, 2), &[1.0; 32], 1.0), "blocks.2");
    invalid(add(Point::new(Place::ResidMid, 0), &[1.0; 32], 1.0), "hook_resid_mid");
    invalid(add(Point::new(Place::Pattern, 0), &[1.0; 32], 1.0), "hook_pattern");
    let beyond = Positions { which: Which::Chosen(vec![8]), skip_special: false };
    invalid(add(post, &[1.0; 32], 1.0).at(beyond), "position 8");
    let feature = |index| Intervention::feature(source("jumprelu"), index, Change::ablate);
    assert_eq!(refused(feature(40)).0, ErrorKind::NotFound);
    invalid(Intervention { point: post.to_string().replace("0", "1").parse().unwrap(), ..feature(0) }, "writes");
}

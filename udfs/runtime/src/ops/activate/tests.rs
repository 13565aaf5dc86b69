use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{Activate, Best, FeatureActivation, Prompt, SourceQuery};
use crate::random::Random;
use crate::source::Architecture;
use crate::source::made_up::{Numbers, elementwise};

/// Sources and an input of several prompts.
struct Case {
    activate: Activate,
    x: Tensor,
    prompts: Vec<Prompt>,
}

impl Case {
    fn new(seed: u64, are_whole: bool) -> Self {
        let mut numbers = Numbers { random: Random::new(seed), are_whole };
        let mut below = |end| numbers.random.below(end);
        let (inputs, width, top_k) = (1 + below(70), 2048 + below(300), below(33));
        let (count, strength, silenced) = (12 + below(20), below(6) as f64 - 0.5, below(3));
        let architectures = [Architecture::Standard, Architecture::JumpRelu, Architecture::Gated];
        let shift = -strength * (inputs as f64).sqrt() * if are_whole { 4.0 } else { 0.33 };
        let sources = (0..2).map(|_| {
            let architecture = architectures[numbers.random.below(3)];
            let encoder = match numbers.random.below(2) {
                0 => numbers.matrix(inputs, width),
                _ => numbers.matrix(width, inputs).t().unwrap(),
            };
            let source = Arc::new(elementwise(&mut numbers, architecture, encoder, shift.round()));
            let allowed = numbers.random.below(2) == 0;
            let allowed = allowed.then(|| Arc::new((0..width).map(|index| index % 3 != 0).collect()));
            SourceQuery { source, allowed }
        });
        let activate = Activate::new(sources.collect(), top_k);
        let mut prompts = Vec::new();
        let mut end = 0;
        while end < 256 || prompts.len() < count {
            let length = 1 + numbers.random.below(40);
            prompts.push(prompt(end..end + length, silenced, top_k));
            end += length;
        }
        let x = numbers.matrix(end, inputs);
        let factors: Vec<f32> = (0..end).map(|_| numbers.random.below(4) as f32).collect();
        let x = x.broadcast_mul(&Tensor::from_vec(factors, (end, 1), &Device::Cpu).unwrap()).unwrap();
        Self { activate, x, prompts }
    }

    /// What is found, by screening where that is possible, or by computing all.
    fn find(&self, screen: bool) -> Vec<Vec<FeatureActivation>> {
        let mut prompts = self.prompts.clone();
        for (number, query) in self.activate.sources.iter().enumerate() {
            let run = match screen {
                true => self.activate.look_in(number, query, &self.x, &mut prompts, &|| Ok(())),
                false => self.activate.compute(0, number, query, &self.x, &mut prompts, &|| Ok(())),
            };
            run.unwrap();
        }
        prompts.into_iter().map(|prompt| prompt.best.found.into_iter().map(|(_, feature)| feature).collect()).collect()
    }

    /// Whether screening goes through to the last feature of the first source.
    fn is_screened(&self) -> bool {
        let query = &self.activate.sources[0];
        let Some(screening) = query.source.screening(&self.x, self.activate.top_k).unwrap() else { return false };
        let mut prompts = self.prompts.clone();
        let done = self.activate.screen(0, query, &screening, &mut prompts, &|| Ok(())).unwrap();
        done == query.source.config().d_sae
    }
}

fn prompt(rows: Range<usize>, silenced: usize, top_k: usize) -> Prompt {
    Prompt { rows, silenced, best: Best { most: top_k, found: Vec::new() } }
}

fn close(one: f32, other: f32) -> bool {
    (one - other).abs() <= 1e-5 * (1.0 + other.abs())
}

#[test]
fn screening_finds_what_computing_all_finds_and_in_that_order() {
    let mut screened = 0;
    for seed in 0..16 {
        let case = Case::new(seed, true);
        assert_eq!(case.find(true), case.find(false), "case {seed}");
        screened += usize::from(case.is_screened());
    }
    assert!(screened >= 6, "{screened} of 16 cases are screened to the end");
}

#[test]
fn values_of_fractions_are_those_of_computing_all_but_for_rounding() {
    let mut screened = 0;
    for seed in 100..116 {
        let case = Case::new(seed, false);
        for (found, expected) in case.find(true).iter().zip(case.find(false)) {
            assert_eq!(found.len(), expected.len());
            let last = expected.last().map_or(0.0, |last| last.max_value);
            for (one, other) in found.iter().zip(&expected) {
                assert!(close(one.max_value, other.max_value), "case {seed}: {} {}", one.max_value, other.max_value);
            }
            for other in &expected {
                let same = found.iter().find(|one| (one.source, one.index) == (other.source, other.index));
                let Some(same) = same else {
                    assert!(close(other.max_value, last), "case {seed}: feature {} is missing", other.index);
                    continue;
                };
                assert_eq!(same.acts.len(), other.acts.len());
                assert!(same.acts.iter().zip(&other.acts).all(|(one, other)| close(*one, *other)), "case {seed}");
                assert_eq!(same.acts[same.max_position], same.max_value);
            }
        }
        screened += usize::from(case.is_screened());
    }
    assert!(screened >= 6, "{screened} of 16 cases are screened to the end");
}

#[test]
fn a_prompt_has_the_same_answers_among_others_and_on_any_number_of_threads() {
    let is_apt = |case: &Case| case.activate.top_k > 5 && case.x.dim(0).unwrap() > 520 && case.is_screened();
    let case = (200..).map(|seed| Case::new(seed, false)).find(is_apt).unwrap();
    let together = case.find(true);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| case.find(true)), together);
    }
    let skipped = case.prompts.iter().take_while(|prompt| prompt.rows.start < 200).count();
    let start = case.prompts[skipped].rows.start;
    let moved = |one: &Prompt| prompt(one.rows.start - start..one.rows.end - start, one.silenced, case.activate.top_k);
    let some = Case {
        activate: Activate::new(case.activate.sources.clone(), case.activate.top_k),
        x: case.x.narrow(0, start, case.x.dim(0).unwrap() - start).unwrap(),
        prompts: case.prompts[skipped..].iter().map(moved).collect(),
    };
    assert!(some.is_screened());
    assert_eq!(some.find(true), together[skipped..]);
}

#[test]
fn what_is_no_number_is_not_screened() {
    let mut numbers = Numbers { random: Random::new(1), are_whole: false };
    let clean = (numbers.matrix(8, 2048), numbers.matrix(300, 8));
    let with = |matrix: &Tensor, value: f32| {
        let mut values: Vec<f32> = matrix.flatten_all().unwrap().to_vec1().unwrap();
        values[77] = value;
        Tensor::from_vec(values, matrix.dims2().unwrap(), &Device::Cpu).unwrap()
    };
    let mut screens = |encoder: Tensor, x: &Tensor, bias: f64| {
        elementwise(&mut numbers, Architecture::Standard, encoder, bias).screening(x, 5).unwrap().is_some()
    };
    assert!(screens(clean.0.clone(), &clean.1, -1.0));
    for broken in [f32::NAN, f32::INFINITY, f32::MAX] {
        assert!(!screens(with(&clean.0, broken), &clean.1, -1.0), "weight {broken}");
        assert!(!screens(clean.0.clone(), &with(&clean.1, broken), -1.0), "input {broken}");
        assert!(broken == f32::MAX || !screens(clean.0.clone(), &clean.1, f64::from(broken)), "bias {broken}");
    }
    assert!(!screens(clean.0.clone(), &clean.1.narrow(0, 0, 20).unwrap(), -1.0), "a small batch");
}

//! How far weights in fewer bits move a model's answers: `step_weights DIRECTORY [TOKENS]`. Both read the same text, which the f32
//! model writes, one step a token. Prints one JSON object for each kind: largest difference of two logits, largest logit, mean and
//! largest Kullback-Leibler divergence in nats, and how often the likeliest token is the same.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use latentdb_runtime::model::{Batch, Cache, Model, NoTap, OpenOptions, StepWeights};
use latentdb_runtime::{Error, ErrorKind, Result};

/// Logits of each step, of a text that is given or, past its end, written.
fn steps(directory: &Path, step_weights: StepWeights, text: &mut Vec<u32>, tokens: usize) -> Result<Vec<Vec<f32>>> {
    let model = Model::open(directory, &OpenOptions { step_weights, ..OpenOptions::default() })?;
    let mut cache = Cache::new(model.config(), 1);
    let mut all = Vec::new();
    for step in 0..tokens.min(model.config().n_ctx) {
        let token = text.get(step).copied().unwrap_or_default();
        let logits = model.step(&Batch::new(&[[token]])?, &mut cache, &mut NoTap)?;
        let Some(logits) = logits else { break };
        let row: Vec<f32> = logits.get(0)?.to_vec1()?;
        if text.len() == step + 1 {
            // Every third token is another one, so that the text does not go round in circles.
            text.push(if step % 3 == 0 { (step * 7919 % row.len()) as u32 } else { likeliest(&row) as u32 });
        }
        all.push(row);
    }
    Ok(all)
}

fn likeliest(row: &[f32]) -> usize {
    row.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(token, _)| token)
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|logit| f64::from(logit - most).exp()).sum();
    row.iter().map(|logit| f64::from(logit - most) - total.ln()).collect()
}

fn divergence(one: &[f32], other: &[f32]) -> f64 {
    log_softmax(one).iter().zip(log_softmax(other)).map(|(one, other)| one.exp() * (one - other)).sum()
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let missing = || Error::new(ErrorKind::InvalidInput, "the model's directory is missing");
    let directory: PathBuf = words.next().ok_or_else(missing)?.into();
    let tokens = words.next().and_then(|word| word.parse().ok()).unwrap_or(100);
    let mut text = vec![1];
    let exact = steps(&directory, StepWeights::F32, &mut text, tokens)?;
    for (name, kind) in [("near", StepWeights::Near), ("int8", StepWeights::Int8)] {
        let found = steps(&directory, kind, &mut text, tokens)?;
        let pairs = || exact.iter().zip(&found);
        let differences =
            pairs().flat_map(|(one, other)| one.iter().zip(other).map(|(one, other)| (one - other).abs()));
        let most = exact.iter().flatten().fold(0.0f32, |most, logit| most.max(logit.abs()));
        let divergences: Vec<f64> = pairs().map(|(one, other)| divergence(one, other)).collect();
        let mean = divergences.iter().sum::<f64>() / divergences.len().max(1) as f64;
        let same = pairs().filter(|(one, other)| likeliest(one) == likeliest(other)).count();
        println!(
            "{{\"weights\": \"{name}\", \"largest_difference\": {:e}, \"largest_logit\": {most}, \"mean_kl\": {mean:e}, \"largest_kl\": {:e}, \"same_first\": \"{same} of {}\"}}",
            differences.fold(0.0f32, f32::max),
            divergences.iter().copied().fold(0.0f64, f64::max),
            exact.len(),
        );
    }
    Ok(())
}

//! `logits` and `logit_lens`: the tokens a model expects next, at its end and after each layer.
//!
//! The lens puts each layer's residual stream through the model's own final norm and unembedding (and soft cap), as
//! Neuronpedia's server does. Probabilities are over the whole vocabulary.

use super::matrix::with_values;
use super::ranking::top_k;
use crate::model::LogitRows;
use crate::service::{Parts, Pass, Wants};
use crate::{Place, Point, Result};

/// A token with what the model thinks of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogit {
    /// Token id.
    pub token: u32,
    /// Logit.
    pub logit: f32,
    /// Probability.
    pub probability: f32,
}

/// The largest `k` of a row of logits.
fn best(row: &[f32], k: usize) -> Vec<TokenLogit> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let probability = |logit: f32| (f64::from(logit - largest).exp() / total) as f32;
    let found = top_k(row, k, |_, _| true);
    found.into_iter().map(|(token, logit)| TokenLogit { token, logit, probability: probability(logit) }).collect()
}

/// The next token after each prompt.
#[derive(Debug)]
pub struct Logits {
    top_k: usize,
    found: Vec<Vec<TokenLogit>>,
}

impl Logits {
    /// The `top_k` most likely tokens.
    pub fn new(top_k: usize) -> Self {
        Self { top_k, found: Vec::new() }
    }
}

impl Pass for Logits {
    /// For each prompt, the most likely tokens first.
    type Answer = Vec<Vec<TokenLogit>>;

    fn wants(&self) -> Wants {
        Wants { points: Vec::new(), logits: Some(LogitRows::Last) }
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let found = with_values(&part.logits()?, |values, _| best(values, self.top_k))?;
            self.found.push(found);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

/// What each layer would say at each token.
#[derive(Debug)]
pub struct LogitLens {
    layers: usize,
    top_k: usize,
    found: Vec<Vec<Vec<Vec<TokenLogit>>>>,
}

impl LogitLens {
    /// The `top_k` most likely tokens at each position, after each of a model's `layers`.
    pub fn new(layers: usize, top_k: usize) -> Self {
        Self { layers, top_k, found: Vec::new() }
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        (0..self.layers).map(|layer| Point::new(Place::ResidPost, layer))
    }
}

impl Pass for LogitLens {
    /// For each prompt, layer and position, the most likely tokens first.
    type Answer = Vec<Vec<Vec<Vec<TokenLogit>>>>;

    fn wants(&self) -> Wants {
        Wants::points(self.points())
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let mut layers = Vec::with_capacity(self.layers);
            for point in self.points() {
                let logits = part.model().unembed(&part.value(point)?)?;
                layers.push(with_values(&logits, |values, width| {
                    values.chunks_exact(width.max(1)).map(|row| best(row, self.top_k)).collect()
                })?);
            }
            self.found.push(layers);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

//! The likeliest tokens of a row of logits.

use crate::ops::top_k;

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

/// The `k` likeliest tokens that `keep` lets through, likeliest first. Probabilities are among all tokens.
pub(crate) fn likeliest(row: &[f32], k: usize, keep: impl Fn(u32) -> bool) -> Vec<TokenLogit> {
    if k == 0 {
        return Vec::new();
    }
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let probability = |logit: f32| (f64::from(logit - largest).exp() / total) as f32;
    let found = top_k(row, k, |token, _| keep(token));
    found.into_iter().map(|(token, logit)| TokenLogit { token, logit, probability: probability(logit) }).collect()
}

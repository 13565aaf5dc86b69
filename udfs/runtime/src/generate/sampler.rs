//! Which token comes next.

use std::collections::HashMap;

use super::request::Sampling;
use crate::ops::top_k;
use crate::random::Random;

/// Chooses a request's tokens, with its own random numbers.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: Random,
    /// How often each token was generated.
    counts: HashMap<u32, u32>,
}

/// A token, and how likely it was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) token: u32,
    pub(super) logprob: Option<f32>,
    pub(super) top: Vec<(u32, f32)>,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Self {
        Self { sampling, random: Random::new(sampling.seed), counts: HashMap::new() }
    }

    /// Chooses by a row of logits `[V]`, which has the penalties taken off it; tells of the `logprobs` likeliest, if any are
    /// asked for.
    pub(super) fn choose(&mut self, logits: &mut [f32], logprobs: Option<usize>) -> Choice {
        let told = logprobs.map(|most| (log_total(logits), most));
        let own = told.map(|(total, most)| (total, top_k(logits, most, |_, _| true)));
        let raw = self.penalize(logits);
        let token = if self.sampling.temperature <= 0.0 { likeliest(logits) } else { self.draw(logits) };
        *self.counts.entry(token).or_default() += 1;
        let of_token = raw.get(&token).copied().or_else(|| logits.get(token as usize).copied()).unwrap_or_default();
        let logprob = own.as_ref().map(|(total, _)| of_token - total);
        let top = own.map(|(total, top)| top.into_iter().map(|(token, logit)| (token, logit - total)).collect());
        Choice { token, logprob, top: top.unwrap_or_default() }
    }

    /// Takes the penalties off; gives the logits that were changed, as they were.
    fn penalize(&self, logits: &mut [f32]) -> HashMap<u32, f32> {
        let mut raw = HashMap::new();
        if self.sampling.frequency_penalty == 0.0 {
            return raw;
        }
        for (token, count) in &self.counts {
            if let Some(logit) = logits.get_mut(*token as usize) {
                raw.insert(*token, *logit);
                *logit -= self.sampling.frequency_penalty * *count as f32;
            }
        }
        raw
    }

    /// Draws from the softmax of the logits over the temperature, cut to the likeliest.
    fn draw(&mut self, logits: &[f32]) -> u32 {
        let Sampling { temperature, top_k: most, top_p, .. } = self.sampling;
        let most = if most == 0 { logits.len() } else { most.min(logits.len()) };
        // Without cuts the order of tokens is of no matter, and a vocabulary need not be sorted.
        let all = || (0u32..).zip(logits.iter().copied());
        let likely: Vec<(u32, f32)> =
            if most < logits.len() || top_p < 1.0 { top_k(logits, most, |_, _| true) } else { all().collect() };
        let highest = likely.iter().fold(f32::NEG_INFINITY, |most, (_, logit)| most.max(*logit));
        let weight = |logit: f32| f64::from((logit - highest) / temperature).exp();
        let mut weights: Vec<f64> = likely.iter().map(|(_, logit)| weight(*logit)).collect();
        if top_p < 1.0 {
            cut(&mut weights, f64::from(top_p));
        }
        let mut left = self.random.unit() * weights.iter().sum::<f64>();
        let mut last = None;
        for ((token, _), weight) in likely.iter().zip(&weights) {
            if *weight > 0.0 {
                last = Some(*token);
                left -= weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        last.unwrap_or_else(|| likeliest(logits))
    }
}

/// Keeps the weights, largest first, before which there is at most the share `top_p`.
fn cut(weights: &mut Vec<f64>, top_p: f64) {
    let total: f64 = weights.iter().sum();
    let mut before = 0.0;
    let kept = weights.iter().take_while(|weight| {
        let is_kept = before <= top_p * total;
        before += **weight;
        is_kept
    });
    let kept = kept.count();
    weights.truncate(kept.max(1));
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = (0u32, f32::NEG_INFINITY);
    for (token, logit) in (0u32..).zip(logits) {
        if *logit > best.1 {
            best = (token, *logit);
        }
    }
    best.0
}

/// `log Σ exp`.
fn log_total(logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from((logit - most).exp())).sum();
    most + total.ln() as f32
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Sampling};

    const LOGITS: [f32; 4] = [1.0, 3.0, 2.0, 0.0];

    fn drawn(sampling: Sampling, times: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..times).map(|_| sampler.choose(&mut LOGITS.clone(), None).token).collect()
    }

    #[test]
    fn draws_follow_the_softmax_and_the_cuts() {
        let warm = Sampling { temperature: 1.0, seed: 5, ..Sampling::default() };
        let share = |tokens: &[u32], token: u32| tokens.iter().filter(|one| **one == token).count() as f32 / 4000.0;
        let all = drawn(warm, 4000);
        assert!((share(&all, 1) - 0.644).abs() < 0.03 && (share(&all, 3) - 0.032).abs() < 0.01);
        let two = drawn(Sampling { top_k: 2, ..warm }, 4000);
        assert!(two.iter().all(|token| [1, 2].contains(token)) && (share(&two, 1) - 0.731).abs() < 0.03);
        // Before token 2 there is 0.644, before token 0 there is 0.881.
        assert!(drawn(Sampling { top_p: 0.6, ..warm }, 400).iter().all(|token| *token == 1));
        let cut = drawn(Sampling { top_p: 0.7, ..warm }, 4000);
        assert!(cut.contains(&2) && cut.iter().all(|token| [1, 2].contains(token)));
        assert_eq!(drawn(warm, 50), drawn(warm, 50));
        assert_ne!(drawn(warm, 50), drawn(Sampling { seed: 6, ..warm }, 50));
    }

    #[test]
    fn a_frequency_penalty_moves_greedy_on_and_leaves_probabilities_alone() {
        let mut sampler = Sampler::new(Sampling { frequency_penalty: 0.7, ..Sampling::default() });
        let chosen: Vec<_> = (0..4).map(|_| sampler.choose(&mut LOGITS.clone(), Some(2))).collect();
        assert_eq!(chosen.iter().map(|choice| choice.token).collect::<Vec<_>>(), [1, 1, 2, 1]);
        for choice in &chosen {
            assert_eq!(choice.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 2]);
            let expected = LOGITS[choice.token as usize] - 3.440_19;
            assert!((choice.logprob.unwrap() - expected).abs() < 1e-4);
        }
    }
}

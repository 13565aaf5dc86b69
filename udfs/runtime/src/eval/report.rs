//! Metrics, by the names that SAEBench gives them.

use super::sums::Sums;

/// How well a source describes its point. What is not defined, for want of tokens or because it divides by 0, is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    metrics: Vec<(&'static str, f64)>,
    tokens: u64,
    feature_tokens: Vec<u64>,
    feature_sequences: Vec<u64>,
}

impl Report {
    pub(super) fn new(sums: &Sums) -> Self {
        let sparsity = &sums.sparsity;
        let tokens = sparsity.tokens as f64;
        let mut metrics: Vec<(&'static str, f64)> = sums.loss.metrics().into();
        metrics.extend(sums.fit.quality());
        metrics.extend(sums.fit.shrinkage());
        metrics.push(("l0", sparsity.active as f64 / tokens));
        metrics.push(("l1", sparsity.magnitude / tokens));
        metrics.extend(shares(&sparsity.feature_tokens, tokens));
        metrics.push(("total_tokens_eval_reconstruction", sums.loss.kl_tokens as f64));
        metrics.push(("total_tokens_eval_sparsity_variance", tokens));
        Self {
            metrics,
            tokens: sparsity.tokens,
            feature_tokens: sparsity.feature_tokens.clone(),
            feature_sequences: sparsity.feature_sequences.clone(),
        }
    }

    /// All metrics with their names: SAEBench's, without those of weights alone. Losses are in nats. Totals are tokens that
    /// counted, where SAEBench's have the ignored ones too.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        self.metrics.clone()
    }

    /// One metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Tokens at which features were looked at.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `[F]`: at how many tokens each feature is active.
    pub fn feature_tokens(&self) -> &[u64] {
        &self.feature_tokens
    }

    /// `[F]`: in how many sequences each feature is active somewhere. Tokens divided by sequences are SAEBench's
    /// `consistent_activation_heuristic`.
    pub fn feature_sequences(&self) -> &[u64] {
        &self.feature_sequences
    }

    /// `[F]`: at which share of the tokens each feature is active, SAEBench's `feature_density`.
    pub fn densities(&self) -> Vec<f64> {
        self.feature_tokens.iter().map(|own| *own as f64 / self.tokens as f64).collect()
    }
}

/// Shares of the features that are active at all, or often; and how much of all activity is theirs.
fn shares(feature_tokens: &[u64], tokens: f64) -> [(&'static str, f64); 5] {
    let features = feature_tokens.len() as f64;
    let all: u64 = feature_tokens.iter().sum();
    let above = |density: f64| feature_tokens.iter().copied().filter(move |own| *own as f64 > density * tokens);
    let share = |density: f64| above(density).count() as f64 / features;
    let activity = |density: f64| if all == 0 { 0.0 } else { above(density).sum::<u64>() as f64 / all as f64 };
    [
        ("frac_alive", share(0.0)),
        ("freq_over_1_percent", share(0.01)),
        ("freq_over_10_percent", share(0.1)),
        ("normalized_freq_over_1_percent", activity(0.01)),
        ("normalized_freq_over_10_percent", activity(0.1)),
    ]
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn frequent_features_are_above_their_density() {
        let found = shares(&[0, 1, 2, 10, 37], 100.0).map(|(_, value)| value);
        assert_eq!(found, [0.8, 0.6, 0.2, 49.0 / 50.0, 37.0 / 50.0]);
        assert_eq!(shares(&[0, 0], 0.0).map(|(_, value)| value), [0.0; 5]);
    }
}

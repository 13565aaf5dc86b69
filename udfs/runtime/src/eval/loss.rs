//! What is left of the model when a reconstruction takes the place of what is there.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::Result;
use crate::model::Model;
use crate::ops::with_values;

/// Logits of a block, about: 16 MiB of them, three times.
const BLOCK: usize = 4 << 20;
/// Rows of a block at least, so that a product is worth its name.
const LEAST_ROWS: usize = 16;

/// Sums over tokens of losses, in nats. A sequence's last token predicts nothing that is known, so it has divergences only.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Loss {
    /// Tokens with a next one.
    ce_tokens: u64,
    /// Cross entropies of the model as it is.
    ce_clean: f64,
    /// With the reconstruction.
    ce_source: f64,
    /// With zeros.
    ce_ablated: f64,
    /// Tokens.
    pub(super) kl_tokens: u64,
    /// Divergences `KL(clean ‖ with the reconstruction)`.
    kl_source: f64,
    /// Divergences `KL(clean ‖ with zeros)`.
    kl_ablated: f64,
}

/// The last residual stream `[N, d]` of three runs on the same tokens.
pub(super) struct Streams<'a> {
    pub(super) clean: &'a Tensor,
    /// With the reconstruction in its place.
    pub(super) source: &'a Tensor,
    /// With zeros in its place.
    pub(super) ablated: &'a Tensor,
}

/// A token that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// Its row.
    pub(super) row: u32,
    /// The token after it in its sequence.
    pub(super) next: Option<u32>,
}

impl Loss {
    pub(super) fn add(&mut self, other: &Self) {
        self.ce_tokens += other.ce_tokens;
        self.ce_clean += other.ce_clean;
        self.ce_source += other.ce_source;
        self.ce_ablated += other.ce_ablated;
        self.kl_tokens += other.kl_tokens;
        self.kl_source += other.kl_source;
        self.kl_ablated += other.kl_ablated;
    }

    /// Takes some positions in. Logits are computed for some of them at a time; before each time it asks
    /// `check_awaited` whether to go on.
    pub(super) fn read(
        &mut self,
        model: &Model,
        streams: &Streams<'_>,
        positions: &[Position],
        check_awaited: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let most = (BLOCK / model.config().d_vocab.max(1)).max(LEAST_ROWS);
        for some in positions.chunks(most) {
            check_awaited()?;
            self.read_block(model, streams, some)?;
        }
        Ok(())
    }

    fn read_block(&mut self, model: &Model, streams: &Streams<'_>, positions: &[Position]) -> Result<()> {
        let rows: Vec<u32> = positions.iter().map(|position| position.row).collect();
        let rows = Tensor::new(rows, model.device())?;
        let logits = |stream: &Tensor| model.unembed(&stream.index_select(&rows, 0)?);
        let (source, ablated) = (logits(streams.source)?, logits(streams.ablated)?);
        let found: Vec<Self> = with_values(&logits(streams.clean)?, |clean, width| {
            with_values(&source, |source, _| {
                with_values(&ablated, |ablated, _| {
                    let width = width.max(1);
                    let pairs = source.par_chunks_exact(width).zip(ablated.par_chunks_exact(width));
                    let rows = clean.par_chunks_exact(width).zip(pairs).zip(positions.par_iter());
                    rows.map(|((clean, (source, ablated)), at)| Self::of_token(clean, source, ablated, at.next))
                        .collect()
                })
            })
        })???;
        found.iter().for_each(|token| self.add(token));
        Ok(())
    }

    /// Of one token's logits `[V]`.
    fn of_token(clean: &[f32], source: &[f32], ablated: &[f32], next: Option<u32>) -> Self {
        let totals = [log_total(clean), log_total(source), log_total(ablated)];
        let [clean_total, source_total, ablated_total] = totals;
        let (mut kl_source, mut kl_ablated) = (source_total - clean_total, ablated_total - clean_total);
        for (clean, (source, ablated)) in clean.iter().zip(source.iter().zip(ablated)) {
            let probability = (f64::from(*clean) - clean_total).exp();
            if probability > 0.0 {
                kl_source += probability * (f64::from(*clean) - f64::from(*source));
                kl_ablated += probability * (f64::from(*clean) - f64::from(*ablated));
            }
        }
        let loss = |logits: &[f32], total: f64| Some(total - f64::from(*logits.get(next? as usize)?));
        let [ce_clean, ce_source, ce_ablated] =
            [loss(clean, clean_total), loss(source, source_total), loss(ablated, ablated_total)];
        Self {
            ce_tokens: u64::from(ce_clean.is_some()),
            ce_clean: ce_clean.unwrap_or(0.0),
            ce_source: ce_source.unwrap_or(0.0),
            ce_ablated: ce_ablated.unwrap_or(0.0),
            kl_tokens: 1,
            kl_source,
            kl_ablated,
        }
    }

    /// Metrics of how much of the model's behaviour is left, by name. Scores are 1 for a perfect reconstruction, and 0
    /// for one that does as much harm as zeros.
    pub(super) fn metrics(&self) -> [(&'static str, f64); 7] {
        let ce = |sum: f64| sum / self.ce_tokens as f64;
        let kl = |sum: f64| sum / self.kl_tokens as f64;
        [
            ("kl_div_score", (self.kl_ablated - self.kl_source) / self.kl_ablated),
            ("kl_div_with_ablation", kl(self.kl_ablated)),
            ("kl_div_with_sae", kl(self.kl_source)),
            ("ce_loss_score", (self.ce_ablated - self.ce_source) / (self.ce_ablated - self.ce_clean)),
            ("ce_loss_with_ablation", ce(self.ce_ablated)),
            ("ce_loss_with_sae", ce(self.ce_source)),
            ("ce_loss_without_sae", ce(self.ce_clean)),
        ]
    }
}

/// `log Σ exp` of logits.
fn log_total(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    f64::from(most) + total.ln()
}

#[cfg(test)]
mod tests {
    use super::Loss;

    #[test]
    fn one_token_by_hand() {
        let logits = |shares: [f32; 3]| shares.map(|share| share.ln() + 5.0);
        let (clean, source, ablated) =
            (logits([0.5, 0.25, 0.25]), logits([0.25, 0.5, 0.25]), logits([0.25, 0.25, 0.5]));
        let found = Loss::of_token(&clean, &source, &ablated, Some(1));
        let two = 2f64.ln();
        for (found, expected) in [
            (found.ce_clean, 2.0 * two),
            (found.ce_source, two),
            (found.ce_ablated, 2.0 * two),
            (found.kl_source, 0.25 * two),
            (found.kl_ablated, 0.25 * two),
        ] {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
        let last = Loss::of_token(&clean, &source, &ablated, None);
        assert_eq!((last.ce_tokens, last.ce_clean, last.kl_tokens), (0, 0.0, 1));
    }
}

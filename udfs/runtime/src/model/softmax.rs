//! From scores to attention weights: scale, soft cap, causal and sliding mask, softmax, in one pass.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{exp, is_plain, plain_values};
use crate::Result;

/// How scores `[H, T, S]` become weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mask {
    /// Factor of the scores.
    pub(super) scale: f32,
    /// `c · tanh(s / c)` of the scaled scores, where the family caps them.
    pub(super) softcap: Option<f32>,
    /// Keys before the first query: a query at row `t` sees keys up to `past + t`.
    pub(super) past: usize,
    /// How many keys a query sees, itself among them.
    pub(super) window: Option<usize>,
}

impl Mask {
    /// The keys that the query of row `t` sees.
    fn seen(&self, row: usize, keys: usize) -> std::ops::Range<usize> {
        let end = (self.past + row + 1).min(keys);
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// Weights of scores.
    pub(super) fn softmax(&self, scores: Tensor) -> Result<Tensor> {
        if is_plain(&scores) {
            let (_, queries, keys) = scores.dims3()?;
            scores.inplace_op1(&Rows { mask: *self, queries, keys })?;
            return Ok(scores);
        }
        self.softmax_anywhere(&scores)
    }

    /// In f32, then in the scores' own number type, as Hugging Face's eager attention does it.
    fn softmax_anywhere(&self, scores: &Tensor) -> Result<Tensor> {
        let (_, queries, keys) = scores.dims3()?;
        let mut scaled = scores.to_dtype(DType::F32)?.affine(f64::from(self.scale), 0.0)?;
        if let Some(cap) = self.softcap {
            scaled = scaled.affine(1.0 / f64::from(cap), 0.0)?.tanh()?.affine(f64::from(cap), 0.0)?;
        }
        let mut hidden = Vec::with_capacity(queries * keys);
        for row in 0..queries {
            let seen = self.seen(row, keys);
            hidden.extend((0..keys).map(|key| if seen.contains(&key) { 0.0 } else { f32::NEG_INFINITY }));
        }
        let hidden = Tensor::from_vec(hidden, (1, queries, keys), scores.device())?;
        let scaled = scaled.broadcast_add(&hidden)?;
        let weights = scaled.broadcast_sub(&scaled.max_keepdim(2)?)?.exp()?;
        Ok(weights.broadcast_div(&weights.sum_keepdim(2)?)?.to_dtype(scores.dtype())?)
    }

    /// Turns the scores of row `number` into weights.
    #[inline(always)]
    pub(super) fn row(&self, number: usize, row: &mut [f32]) {
        let seen = self.seen(number, row.len());
        let (before, rest) = row.split_at_mut(seen.start);
        let (seen, after) = rest.split_at_mut(seen.end - seen.start);
        before.fill(0.0);
        after.fill(0.0);
        match self.softcap {
            Some(cap) => {
                for score in seen.iter_mut() {
                    *score = cap * (*score * self.scale / cap).tanh();
                }
            }
            None => {
                for score in seen.iter_mut() {
                    *score *= self.scale;
                }
            }
        }
        let most = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for score in seen.iter_mut() {
            *score = exp(*score - most);
        }
        let total: f32 = seen.iter().sum();
        let share = 1.0 / total;
        for score in seen.iter_mut() {
            *score *= share;
        }
    }
}

struct Rows {
    mask: Mask,
    queries: usize,
    keys: usize,
}

impl InplaceOp1 for Rows {
    fn name(&self) -> &'static str {
        "causal softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let keys = self.keys.max(1);
        plain_values(storage, layout)?.par_chunks_mut(self.queries.max(1) * keys).for_each(|head| {
            pulp::Arch::new().dispatch(Head { mask: self.mask, keys, scores: head });
        });
        Ok(())
    }
}

/// The scores of one head.
struct Head<'a> {
    mask: Mask,
    keys: usize,
    scores: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (number, row) in self.scores.chunks_exact_mut(self.keys).enumerate() {
            self.mask.row(number, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::Mask;

    #[test]
    fn in_place_and_by_operations_give_the_same_weights() {
        let scores = Tensor::randn(0f32, 3.0, (2, 5, 9), &Device::Cpu).unwrap();
        for (softcap, window) in [(None, None), (Some(5.0), None), (None, Some(3)), (Some(5.0), Some(2))] {
            let mask = Mask { scale: 0.3, softcap, past: 4, window };
            let expected = mask.softmax_anywhere(&scores).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let found = mask.softmax(scores.copy().unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-6, "{mask:?}: {found} and {expected}");
            }
        }
    }
}

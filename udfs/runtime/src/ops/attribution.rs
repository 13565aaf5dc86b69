//! Direct feature attribution: through which positions the heads of a layer made a feature fire.
//!
//! Neuronpedia's `dfa_from_v_and_probs`: `dfa[s] = Σ_h P[h, target, s] · (v[s, h] · W_enc[h])`.

use candle_core::{DType, Device, Tensor};

use super::matrix::values;
use crate::service::Part;
use crate::{Error, ErrorKind, Place, Point, Result};

/// What the heads of a layer read on a prompt.
#[derive(Debug)]
pub(crate) struct HeadReads {
    heads: usize,
    key_heads: usize,
    d_head: usize,
    /// `[T, Hkv·dh]`, row after row.
    value: Vec<f32>,
    /// `[H, T, T]`
    pattern: Tensor,
}

impl HeadReads {
    /// The points that are read.
    pub(crate) fn points(layer: usize) -> [Point; 2] {
        [Point::new(Place::Value, layer), Point::new(Place::Pattern, layer)]
    }

    /// Those of a prompt in `layer`.
    pub(crate) fn of(part: &Part<'_>, layer: usize) -> Result<Self> {
        let config = part.model().config();
        let [value, pattern] = Self::points(layer);
        Ok(Self {
            heads: config.n_heads,
            key_heads: config.n_kv_heads.max(1),
            d_head: config.d_head,
            value: values(&part.value(value)?)?,
            pattern: part.pattern(pattern)?,
        })
    }

    /// What came from each position to `target`, for a feature that reads the heads with `weights` `[H·dh]`.
    pub(crate) fn attribute(&self, weights: &[f32], target: usize) -> Result<Vec<f32>> {
        let (heads, width) = (self.heads, self.d_head);
        if weights.len() != heads * width {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the source reads {} values, and {heads} heads of {width} give {}",
                    weights.len(),
                    heads * width
                ),
            ));
        }
        let seen = self.pattern.narrow(1, target, 1)?.squeeze(1)?;
        let seen = seen.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
        let shared = (heads / self.key_heads).max(1);
        let from = |(position, row): (usize, &[f32])| -> f32 {
            let per_head = weights.chunks_exact(width).zip(&seen).enumerate().map(|(head, (weights, seen))| {
                let start = head / shared * width;
                let read = row.get(start..start + width).unwrap_or_default();
                let dot: f32 = read.iter().zip(weights).map(|(value, weight)| value * weight).sum();
                seen.get(position).copied().unwrap_or_default() * dot
            });
            per_head.sum()
        };
        Ok(self.value.chunks_exact((self.key_heads * width).max(1)).enumerate().map(from).collect())
    }
}

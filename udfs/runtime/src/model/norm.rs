//! LayerNorm and RMSNorm, in f32 whatever the model's number type, as Hugging Face's models compute them.

use candle_core::{CpuStorage, DType, InplaceOp1, InplaceOp2, Layout, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{is_plain, plain_slice, plain_values};
use crate::Result;

/// Which norm a family uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NormKind {
    /// `(x - mean) / √(var + eps)`.
    Layer,
    /// `x / √(mean(x²) + eps)`.
    Rms,
}

/// A norm with its weights.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    kind: NormKind,
    eps: f32,
    gain: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// The same on the device, for devices that are not the processor.
    gain_tensor: Tensor,
    bias_tensor: Option<Tensor>,
}

impl Norm {
    /// A norm of `gain` plus `offset` (1 in Gemma, whose files hold what is added to 1).
    pub(crate) fn new(kind: NormKind, eps: f64, gain: &Tensor, offset: f64, bias: Option<&Tensor>) -> Result<Self> {
        let gain_tensor = gain.to_dtype(DType::F32)?.affine(1.0, offset)?;
        let bias_tensor = bias.map(|bias| bias.to_dtype(DType::F32)).transpose()?;
        let bias = bias_tensor.as_ref().map(Tensor::to_vec1::<f32>).transpose()?;
        Ok(Self { kind, eps: eps as f32, gain: gain_tensor.to_vec1()?, bias, gain_tensor, bias_tensor })
    }

    /// Norm, gain and bias over rows `[…, width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() && x.dtype() == DType::F32 {
            let y = fresh(x)?;
            y.inplace_op1(&Rows { norm: self, with_gain: true })?;
            return Ok(y);
        }
        let scaled = self.normalize_anywhere(&x.to_dtype(DType::F32)?)?;
        Ok(self.gain_anywhere(&scaled)?.to_dtype(x.dtype())?)
    }

    /// As [`forward`](Self::forward), of `x` with `residual` added to it. Nobody else may hold `x`.
    pub(crate) fn forward_sum(&self, x: Tensor, residual: &Tensor) -> Result<Tensor> {
        if is_plain(&x) && is_plain(residual) && x.dims() == residual.dims() {
            x.inplace_op2(residual, &Sums { norm: self })?;
            return Ok(x);
        }
        self.forward(&(x + residual)?)
    }

    /// The norm without gain and bias.
    pub(super) fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() && x.dtype() == DType::F32 {
            let y = fresh(x)?;
            y.inplace_op1(&Rows { norm: self, with_gain: false })?;
            return Ok(y);
        }
        Ok(self.normalize_anywhere(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype())?)
    }

    /// Gain and bias of what [`normalize`](Self::normalize) gave.
    pub(super) fn apply_gain(&self, normalized: &Tensor) -> Result<Tensor> {
        Ok(self.gain_anywhere(&normalized.to_dtype(DType::F32)?)?.to_dtype(normalized.dtype())?)
    }

    fn normalize_anywhere(&self, x: &Tensor) -> Result<Tensor> {
        let last = x.rank().saturating_sub(1);
        let x = match self.kind {
            NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(last)?)?,
            NormKind::Rms => x.clone(),
        };
        let scale = x.sqr()?.mean_keepdim(last)?.affine(1.0, f64::from(self.eps))?.sqrt()?;
        Ok(x.broadcast_div(&scale)?)
    }

    fn gain_anywhere(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.broadcast_mul(&self.gain_tensor)?;
        Ok(match &self.bias_tensor {
            Some(bias) => x.broadcast_add(bias)?,
            None => x,
        })
    }

    /// One row, on the processor.
    #[inline(always)]
    fn row(&self, row: &mut [f32], with_gain: bool) {
        let width = row.len() as f32;
        if self.kind == NormKind::Layer {
            let mean = sum::<false>(row) / width;
            for value in row.iter_mut() {
                *value -= mean;
            }
        }
        let scale = 1.0 / (sum::<true>(row) / width + self.eps).sqrt();
        match (with_gain, &self.bias) {
            (false, _) => {
                for value in row {
                    *value *= scale;
                }
            }
            (true, None) => {
                for (value, gain) in row.iter_mut().zip(&self.gain) {
                    *value *= scale * gain;
                }
            }
            (true, Some(bias)) => {
                for ((value, gain), bias) in row.iter_mut().zip(&self.gain).zip(bias) {
                    *value = *value * scale * gain + bias;
                }
            }
        }
    }
}

/// Sums values, or their squares, in sixteen lanes, which is exacter than one after another, and goes into vectors.
#[inline(always)]
fn sum<const OF_SQUARES: bool>(row: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += if OF_SQUARES { value * value } else { *value };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += if OF_SQUARES { value * value } else { *value };
    }
    lanes.iter().sum::<f32>()
}

/// A copy that can be worked on in place.
fn fresh(x: &Tensor) -> Result<Tensor> {
    let copy = x.copy()?;
    Ok(if is_plain(&copy) { copy } else { copy.contiguous()? })
}

/// Rows that one task works on.
fn rows_per_task(width: usize) -> usize {
    (8192 / width).max(1)
}

struct Rows<'a> {
    norm: &'a Norm,
    with_gain: bool,
}

impl InplaceOp1 for Rows<'_> {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let width = self.norm.gain.len().max(1);
        plain_values(storage, layout)?.par_chunks_mut(rows_per_task(width) * width).for_each(|rows| {
            pulp::Arch::new().dispatch(Chunk { norm: self.norm, with_gain: self.with_gain, rows, residual: None });
        });
        Ok(())
    }
}

/// The norm of a sum, while the sum's rows are at hand.
struct Sums<'a> {
    norm: &'a Norm,
}

impl InplaceOp2 for Sums<'_> {
    fn name(&self) -> &'static str {
        "norm of a sum"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<()> {
        let width = self.norm.gain.len().max(1);
        let chunk = rows_per_task(width) * width;
        let residual = plain_slice(residual, residual_layout)?;
        let chunks = plain_values(storage, layout)?.par_chunks_mut(chunk).zip(residual.par_chunks(chunk));
        chunks.for_each(|(rows, residual)| {
            pulp::Arch::new().dispatch(Chunk { norm: self.norm, with_gain: true, rows, residual: Some(residual) });
        });
        Ok(())
    }
}

/// Some rows to be normed, with what is added to them before.
struct Chunk<'a> {
    norm: &'a Norm,
    with_gain: bool,
    rows: &'a mut [f32],
    residual: Option<&'a [f32]>,
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.norm.gain.len().max(1);
        for (number, row) in self.rows.chunks_exact_mut(width).enumerate() {
            let residual = self.residual.and_then(|all| all.get(number * width..(number + 1) * width));
            for (value, other) in row.iter_mut().zip(residual.unwrap_or_default()) {
                *value += other;
            }
            self.norm.row(row, self.with_gain);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Norm, NormKind};

    #[test]
    fn the_norm_of_a_sum_is_that_of_the_sum() {
        let random = |rows: usize| Tensor::randn(0f32, 2.0, (rows, 24), &Device::Cpu).unwrap();
        let (x, residual, weights) = (random(700), random(700), random(2));
        let (gain, bias) = (weights.get(0).unwrap(), weights.get(1).unwrap());
        for kind in [NormKind::Layer, NormKind::Rms] {
            let norm = Norm::new(kind, 1e-5, &gain, 0.0, Some(&bias)).unwrap();
            let expected = norm.forward(&(&x + &residual).unwrap()).unwrap();
            let found = norm.forward_sum(x.copy().unwrap(), &residual).unwrap();
            assert_eq!(found.to_vec2::<f32>().unwrap(), expected.to_vec2::<f32>().unwrap(), "{kind:?}");
        }
    }
}

//! Temporal sources: attention over a sequence predicts each position from those before it; the features are what
//! is new (Lubana et al., after SAELens' `temporal_sae.py`; maths section 1.3).

use std::ops::Range;

use candle_core::{D, Device, Tensor};

use super::super::weights::{Attention, Weights};
use super::refuse;
use super::topk::TopK;
use crate::Result;

/// Added to a length before it is divided by.
const EPSILON: f64 = 1e-6;

/// Shape of a temporal source.
#[derive(Debug, Clone)]
pub(in crate::source) struct Temporal {
    pub n_heads: usize,
    pub n_layers: usize,
    /// Width of all heads' queries together.
    pub bottleneck: usize,
    /// Features kept at each position; all that are positive if `None`.
    pub k: Option<usize>,
    /// The encoder is the decoder's transpose.
    pub is_tied: bool,
}

/// Codes of a batch, each `[N, F]`.
pub(in crate::source) struct Codes {
    /// What is new at each position: the features.
    pub novel: Tensor,
    /// What the positions before predict.
    pub predicted: Tensor,
}

impl Temporal {
    /// Codes of the rows of `x` `[N, d_in]`; every row belongs to one of `sequences`, or all to one if there are none.
    pub(in crate::source) fn encode(&self, x: &Tensor, weights: &Weights, sequences: &[Range<usize>]) -> Result<Codes> {
        let rows = x.dim(0)?;
        let whole = 0..rows;
        let sequences = if sequences.is_empty() { std::slice::from_ref(&whole) } else { sequences };
        check_tiling(sequences, rows)?;
        let mut parts = Vec::with_capacity(sequences.len());
        for sequence in sequences.iter().filter(|sequence| !sequence.is_empty()) {
            parts.push(self.encode_sequence(&x.narrow(0, sequence.start, sequence.len())?, weights)?);
        }
        if parts.is_empty() {
            let none = Tensor::zeros((0, weights.decoder.dim(0)?), x.dtype(), x.device())?;
            return Ok(Codes { novel: none.clone(), predicted: none });
        }
        let join = |part: fn(&Codes) -> &Tensor| Tensor::cat(&parts.iter().map(part).collect::<Vec<_>>(), 0);
        Ok(Codes { novel: join(|codes| &codes.novel)?, predicted: join(|codes| &codes.predicted)? })
    }

    fn encode_sequence(&self, x: &Tensor, weights: &Weights) -> Result<Codes> {
        let scale = 1.0 / (4.0 * x.dim(1)? as f64);
        let mut rest = x.clone();
        let mut predicted: Option<Tensor> = None;
        for layer in &weights.attention {
            let codes = rest.affine(scale, 0.0)?.matmul(&weights.encoder)?.relu()?;
            let prediction = self.attend(layer, &codes)?.relu()?;
            let written = prediction.matmul(&weights.decoder)?;
            let length = written.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.affine(1.0, EPSILON)?;
            let share = (&written * &rest)?.sum_keepdim(D::Minus1)?.div(&length.sqr()?)?;
            rest = (rest - written.broadcast_mul(&share)?)?;
            let prediction = prediction.broadcast_mul(&share)?;
            predicted = Some(match predicted {
                Some(sum) => (sum + prediction)?,
                None => prediction,
            });
        }
        let product = rest.affine(scale, 0.0)?.matmul(&weights.encoder)?;
        let novel = match self.k {
            Some(k) => TopK::new(k).apply(product, &weights.encoder_bias)?,
            None => product.relu()?,
        };
        let predicted = predicted.map_or_else(|| novel.zeros_like(), Ok)?;
        Ok(Codes { novel, predicted })
    }

    /// Causal attention from each position's codes to those of the positions before it `[T, F]`.
    fn attend(&self, layer: &Attention, codes: &Tensor) -> Result<Tensor> {
        let (rows, width) = codes.dims2()?;
        let before = Tensor::cat(&[&codes.narrow(0, 0, 1)?.zeros_like()?, &codes.narrow(0, 0, rows - 1)?], 0)?;
        let query = self.heads(&project(codes, &layer.query)?)?;
        let key = self.heads(&project(&before, &layer.key)?)?;
        let value = self.heads(&project(&before, &layer.value)?)?;
        let scale = 1.0 / (query.dim(D::Minus1)? as f64).sqrt();
        let scores = query.matmul(&key.t()?)?.affine(scale, 0.0)?;
        let pattern = softmax(&scores.broadcast_add(&causal_mask(rows, codes.device())?)?)?;
        let mixed = pattern.matmul(&value)?.transpose(0, 1)?.contiguous()?.reshape((rows, width))?;
        project(&mixed, &layer.output)
    }

    /// `[T, H·dh]` as `[H, T, dh]`.
    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        Ok(x.reshape((rows, self.n_heads, width / self.n_heads))?.transpose(0, 1)?.contiguous()?)
    }
}

/// Sequences must follow each other and cover every row: a row left out would have no features.
fn check_tiling(sequences: &[Range<usize>], rows: usize) -> Result<()> {
    let mut end = 0;
    for sequence in sequences {
        if sequence.start != end || sequence.end < sequence.start {
            return refuse(format!("the sequence {sequence:?} does not start where the one before it ends, at {end}"));
        }
        end = sequence.end;
    }
    match end == rows {
        true => Ok(()),
        false => refuse(format!("the sequences cover {end} rows of {rows}")),
    }
}

fn project(x: &Tensor, (weight, bias): &(Tensor, Tensor)) -> Result<Tensor> {
    Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
}

fn softmax(scores: &Tensor) -> Result<Tensor> {
    let exponents = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(exponents.broadcast_div(&exponents.sum_keepdim(D::Minus1)?)?)
}

fn causal_mask(rows: usize, device: &Device) -> Result<Tensor> {
    let value = |i: usize| if i % rows > i / rows { f32::NEG_INFINITY } else { 0.0 };
    Ok(Tensor::from_vec((0..rows * rows).map(value).collect(), (rows, rows), device)?)
}

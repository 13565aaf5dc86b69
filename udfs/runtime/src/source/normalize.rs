//! What is done to each position on the way in, and undone on the way out.
//!
//! The state that undoing needs is a value ([`Norms`]) and not hidden in the source, so that one source can serve
//! many threads.

use candle_core::{D, Tensor};

use super::config::Normalization;
use crate::{Error, ErrorKind, Result};

/// Added to the standard deviation, as SAELens does.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// What normalising took from each position: needed to decode.
#[derive(Debug, Clone)]
pub struct Norms {
    /// `[N, 1]`, added last.
    mean: Option<Tensor>,
    /// `[N, 1]`, multiplied first.
    scale: Option<Tensor>,
}

impl Normalization {
    /// Whether undoing it needs what it took from each position.
    pub(super) fn is_per_position(self) -> bool {
        matches!(self, Self::ConstantNorm | Self::LayerNorm)
    }

    /// Normalises the rows of `x` `[N, d]`.
    pub(super) fn apply(self, x: &Tensor) -> Result<(Tensor, Norms)> {
        let width = x.dim(D::Minus1)? as f64;
        match self {
            Self::None => Ok((x.clone(), Norms { mean: None, scale: None })),
            Self::ConstantScalar(factor) => Ok((x.affine(factor, 0.0)?, Norms { mean: None, scale: None })),
            Self::ConstantNorm => {
                let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
                let scale = length.affine(width.sqrt().recip(), 0.0)?;
                Ok((x.broadcast_div(&scale)?, Norms { mean: None, scale: Some(scale) }))
            }
            Self::LayerNorm => {
                let mean = x.mean_keepdim(D::Minus1)?;
                let centred = x.broadcast_sub(&mean)?;
                let variance = centred.sqr()?.sum_keepdim(D::Minus1)?.affine((width - 1.0).recip(), 0.0)?;
                let deviation = variance.sqrt()?;
                let normal = centred.broadcast_div(&deviation.affine(1.0, LAYER_NORM_EPSILON)?)?;
                Ok((normal, Norms { mean: Some(mean), scale: Some(deviation) }))
            }
        }
    }

    /// What undoing it multiplies each of `rows` positions by.
    pub(super) fn gains(self, norms: &Norms, rows: usize) -> Result<Vec<f32>> {
        Ok(match (self, &norms.scale) {
            (Self::ConstantScalar(factor), _) => vec![factor.recip() as f32; rows],
            (_, Some(scale)) => scale.flatten_all()?.to_vec1()?,
            (_, None) => vec![1.0; rows],
        })
    }

    /// Undoes it on the rows of `y` `[N, d]`.
    pub(super) fn undo(self, y: Tensor, norms: Option<&Norms>) -> Result<Tensor> {
        if let Self::ConstantScalar(factor) = self {
            return Ok(y.affine(factor.recip(), 0.0)?);
        }
        if !self.is_per_position() {
            return Ok(y);
        }
        let norms = norms.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("this source normalises with {}: decoding needs the norms of the encoded input", self.name()),
            )
            .with_hint("encode with encode_for_decode, and decode with the norms that it answers")
        })?;
        norms.restore(y)
    }
}

impl Norms {
    fn restore(&self, mut y: Tensor) -> Result<Tensor> {
        let rows = y.dim(0)?;
        for part in [&self.scale, &self.mean].into_iter().flatten() {
            if part.dim(0)? != rows {
                let message = format!("{rows} rows to decode, but the norms are of {} positions", part.dim(0)?);
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
        if let Some(scale) = &self.scale {
            y = y.broadcast_mul(scale)?;
        }
        if let Some(mean) = &self.mean {
            y = y.broadcast_add(mean)?;
        }
        Ok(y)
    }
}

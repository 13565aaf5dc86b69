//! Rewriting weights so that a step of the maths is done once, on loading, instead of at every position.
//!
//! Each fold leaves what is computed unchanged, except the fold of the decoder's norms, which changes the unit of
//! the features (SAELens' `fold_W_dec_norm`, maths section 1.5).

use candle_core::{D, Tensor};

use super::config::Config;
use super::encode::Activation;
use super::weights::{Weights, Whitening};
use crate::{Error, ErrorKind, Result};

/// Smallest norm that is divided by.
const SMALLEST_NORM: f32 = 1e-8;

impl Weights {
    /// Folds `x · factor` of the input and `y / factor` of the output.
    pub(super) fn fold_scaling(&mut self, factor: f64, activation: &mut Activation) -> Result<()> {
        if !(factor.is_finite() && factor > 0.0) {
            let message = format!("norm_scaling_factor must be positive, and is {factor}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        match activation {
            Activation::Temporal(_) => {
                return Err(Error::new(ErrorKind::Unsupported, "a temporal source cannot fold a norm_scaling_factor"));
            }
            // Its encoder is its decoder: what is scaled up and down again stays as it is, and the residual is
            // compared in the input's own units.
            Activation::Pursuit(pursuit) => pursuit.residual_threshold /= factor,
            _ => {
                self.encoder = self.encoder.affine(factor, 0.0)?;
                self.decoder = self.decoder.affine(factor.recip(), 0.0)?;
            }
        }
        self.decoder_bias = self.decoder_bias.affine(factor.recip(), 0.0)?;
        Ok(())
    }

    /// Folds `z = (x − mean) @ matrix` of the input and its inverse of the output.
    pub(super) fn fold_whitening(&mut self, whitening: &Whitening, config: &Config) -> Result<()> {
        if self.is_tied || !self.attention.is_empty() || config.d_in != config.d_out {
            let message = format!("the architecture {} cannot fold a whitening", config.architecture);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let width = config.d_in;
        let device = self.decoder.device();
        let mean = whitening.mean.checked(&[width], device)?.unsqueeze(0)?;
        let matrix = whitening.matrix.checked(&[width, width], device)?;
        let inverse = whitening.inverse.checked(&[width, width], device)?;
        self.encoder = matrix.matmul(&self.encoder)?;
        if !config.apply_b_dec_to_input {
            let shift = mean.matmul(&self.encoder)?.squeeze(0)?;
            self.encoder_bias = (&self.encoder_bias - &shift)?;
            if let Some(gate) = &mut self.gate {
                gate.bias = (&gate.bias - &shift)?;
                gate.magnitude_bias = (&gate.magnitude_bias - (shift * gate.log_scale.exp()?)?)?;
            }
        }
        self.decoder = self.decoder.matmul(&inverse)?;
        self.decoder_bias = (self.decoder_bias.unsqueeze(0)?.matmul(&inverse)? + mean)?.squeeze(0)?;
        Ok(())
    }

    /// Folds the decoder's norms into the encoder: rows of the decoder get length 1.
    pub(super) fn fold_decoder_norms(&mut self) -> Result<()> {
        let norms = self.decoder_norms()?.maximum(SMALLEST_NORM)?;
        self.decoder = self.decoder.broadcast_div(&norms.unsqueeze(1)?)?;
        self.encoder = scale_columns(&self.encoder, &norms)?;
        self.encoder_bias = (&self.encoder_bias * &norms)?;
        if let Some(threshold) = &mut self.threshold {
            *threshold = (&*threshold * &norms)?;
        }
        if let Some(gate) = &mut self.gate {
            // The magnitude's scale stays: scaling the encoder is enough for that branch.
            gate.bias = (&gate.bias * &norms)?;
            gate.magnitude_bias = (&gate.magnitude_bias * &norms)?;
        }
        Ok(())
    }

    /// Lengths of the decoder's rows `[F]`.
    pub(super) fn decoder_norms(&self) -> Result<Tensor> {
        Ok(self.decoder.sqr()?.sum(D::Minus1)?.sqrt()?)
    }
}

/// Multiplies each column, in the matrix's own order of memory.
fn scale_columns(matrix: &Tensor, by: &Tensor) -> Result<Tensor> {
    match matrix.is_contiguous() {
        true => Ok(matrix.broadcast_mul(&by.unsqueeze(0)?)?),
        false => Ok(matrix.t()?.broadcast_mul(&by.unsqueeze(1)?)?.t()?),
    }
}

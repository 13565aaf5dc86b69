//! ReLU, JumpReLU and gates: each feature on its own, bias and activation in one pass.

use candle_core::{DType, Tensor};

use super::super::weights::Weights;
use super::Activation;
use super::rows::each_row;
use crate::{Error, ErrorKind, Result};

/// What turns `x @ W_enc` into features; every tensor is `[F]`.
#[derive(Debug, Clone)]
pub(in crate::source) enum Elementwise {
    Relu { bias: Tensor },
    JumpRelu { bias: Tensor, threshold: Tensor, is_rectified: bool },
    Gated { bias: Tensor, magnitude_bias: Tensor, scale: Tensor },
}

impl Elementwise {
    pub(super) fn new(activation: &Activation, weights: &Weights) -> Result<Self> {
        let bias = weights.encoder_bias.clone();
        match (activation, &weights.threshold, &weights.gate) {
            (Activation::Relu, ..) => Ok(Self::Relu { bias }),
            (Activation::JumpRelu { is_rectified }, Some(threshold), _) => {
                Ok(Self::JumpRelu { bias, threshold: threshold.clone(), is_rectified: *is_rectified })
            }
            (Activation::Gated, _, Some(gate)) => Ok(Self::Gated {
                bias: gate.bias.clone(),
                magnitude_bias: gate.magnitude_bias.clone(),
                scale: gate.log_scale.exp()?,
            }),
            _ => Err(Error::new(ErrorKind::Internal, "an activation function without its tensors")),
        }
    }

    /// The same for `count` features from `first` on.
    pub(in crate::source) fn narrow(&self, first: usize, count: usize) -> Result<Self> {
        let some = |tensor: &Tensor| tensor.narrow(0, first, count);
        Ok(match self {
            Self::Relu { bias } => Self::Relu { bias: some(bias)? },
            Self::JumpRelu { bias, threshold, is_rectified } => {
                Self::JumpRelu { bias: some(bias)?, threshold: some(threshold)?, is_rectified: *is_rectified }
            }
            Self::Gated { bias, magnitude_bias, scale } => {
                Self::Gated { bias: some(bias)?, magnitude_bias: some(magnitude_bias)?, scale: some(scale)? }
            }
        })
    }

    /// Features of `product = x @ W_enc` `[N, F]`, which is used up.
    pub(in crate::source) fn apply(&self, product: Tensor) -> Result<Tensor> {
        match product.device().is_cpu() {
            true => self.apply_in_one_pass(product),
            false => self.apply_in_steps(&product),
        }
    }

    fn apply_in_one_pass(&self, product: Tensor) -> Result<Tensor> {
        match self {
            Self::Relu { bias } => {
                let bias = bias.to_vec1::<f32>()?;
                each_row(product, |row| {
                    for (value, bias) in row.iter_mut().zip(&bias) {
                        *value = relu(*value + bias);
                    }
                })
            }
            Self::JumpRelu { bias, threshold, is_rectified } => {
                let (bias, threshold) = (bias.to_vec1::<f32>()?, threshold.to_vec1::<f32>()?);
                let floor = if *is_rectified { 0.0 } else { f32::NEG_INFINITY };
                each_row(product, |row| {
                    for ((value, bias), threshold) in row.iter_mut().zip(&bias).zip(&threshold) {
                        *value = jump_relu(*value + bias, *threshold, floor);
                    }
                })
            }
            Self::Gated { bias, magnitude_bias, scale } => {
                let bias = bias.to_vec1::<f32>()?;
                let (magnitude_bias, scale) = (magnitude_bias.to_vec1::<f32>()?, scale.to_vec1::<f32>()?);
                each_row(product, |row| {
                    let branches = bias.iter().zip(&magnitude_bias).zip(&scale);
                    for (value, ((bias, magnitude_bias), scale)) in row.iter_mut().zip(branches) {
                        let magnitude = relu(*value * scale + magnitude_bias);
                        *value = if *value + bias > 0.0 { magnitude } else { magnitude * 0.0 };
                    }
                })
            }
        }
    }

    fn apply_in_steps(&self, product: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu { bias } => Ok(product.broadcast_add(bias)?.relu()?),
            Self::JumpRelu { bias, threshold, is_rectified } => {
                let pre = product.broadcast_add(bias)?;
                let passes = pre.broadcast_gt(threshold)?.to_dtype(DType::F32)?;
                let value = if *is_rectified { pre.relu()? } else { pre };
                Ok((value * passes)?)
            }
            Self::Gated { bias, magnitude_bias, scale } => {
                let passes = product.broadcast_add(bias)?.gt(0.0f32)?.to_dtype(DType::F32)?;
                let magnitude = product.broadcast_mul(scale)?.broadcast_add(magnitude_bias)?.relu()?;
                Ok((magnitude * passes)?)
            }
        }
    }
}

/// `max(value, 0)` that keeps NaN, as PyTorch's does: a broken weight must show.
#[inline]
pub(super) fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

#[inline]
fn jump_relu(pre: f32, threshold: f32, floor: f32) -> f32 {
    let value = if pre < floor { floor } else { pre };
    if pre > threshold {
        value
    } else if pre.is_nan() {
        pre
    } else {
        0.0
    }
}

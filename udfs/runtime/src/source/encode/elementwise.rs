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

    /// The same as plain numbers.
    pub(in crate::source) fn rules(&self) -> Result<Rules> {
        Ok(match self {
            Self::Relu { bias } => Rules::Relu { bias: bias.to_vec1()? },
            Self::JumpRelu { bias, threshold, is_rectified } => Rules::JumpRelu {
                bias: bias.to_vec1()?,
                threshold: threshold.to_vec1()?,
                floor: if *is_rectified { 0.0 } else { f32::NEG_INFINITY },
            },
            Self::Gated { bias, magnitude_bias, scale } => Rules::Gated {
                bias: bias.to_vec1()?,
                magnitude_bias: magnitude_bias.to_vec1()?,
                scale: scale.to_vec1()?,
            },
        })
    }

    fn apply_in_one_pass(&self, product: Tensor) -> Result<Tensor> {
        match self.rules()? {
            Rules::Relu { bias } => each_row(product, |row| {
                for (value, bias) in row.iter_mut().zip(&bias) {
                    *value = relu(*value + bias);
                }
            }),
            Rules::JumpRelu { bias, threshold, floor } => each_row(product, |row| {
                for ((value, bias), threshold) in row.iter_mut().zip(&bias).zip(&threshold) {
                    *value = jump_relu(*value + bias, *threshold, floor);
                }
            }),
            Rules::Gated { bias, magnitude_bias, scale } => each_row(product, |row| {
                let branches = bias.iter().zip(&magnitude_bias).zip(&scale);
                for (value, ((bias, magnitude_bias), scale)) in row.iter_mut().zip(branches) {
                    *value = gated(*value, *bias, *magnitude_bias, *scale);
                }
            }),
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

/// What turns products into features, one at a time. Where a feature is above 0, it does not fall as its product rises, nor does it
/// fall back to 0.
#[derive(Debug, Clone)]
pub(in crate::source) enum Rules {
    Relu { bias: Vec<f32> },
    JumpRelu { bias: Vec<f32>, threshold: Vec<f32>, floor: f32 },
    Gated { bias: Vec<f32>, magnitude_bias: Vec<f32>, scale: Vec<f32> },
}

impl Rules {
    /// Feature `index` where the product with its direction is `product`; NaN if there is no such feature.
    #[inline]
    pub(in crate::source) fn value(&self, index: usize, product: f32) -> f32 {
        let of = |numbers: &[f32]| numbers.get(index).copied().unwrap_or(f32::NAN);
        match self {
            Self::Relu { bias } => relu(product + of(bias)),
            Self::JumpRelu { bias, threshold, floor } => jump_relu(product + of(bias), of(threshold), *floor),
            Self::Gated { bias, magnitude_bias, scale } => gated(product, of(bias), of(magnitude_bias), of(scale)),
        }
    }

    /// Whether every number is finite.
    pub(in crate::source) fn are_finite(&self) -> bool {
        let numbers: [&[f32]; 3] = match self {
            Self::Relu { bias } => [bias, &[], &[]],
            Self::JumpRelu { bias, threshold, .. } => [bias, threshold, &[]],
            Self::Gated { bias, magnitude_bias, scale } => [bias, magnitude_bias, scale],
        };
        numbers.into_iter().flatten().all(|number| number.is_finite())
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

/// A product that does not pass the gate gives 0, unless its magnitude is not a finite number.
#[inline]
fn gated(product: f32, bias: f32, magnitude_bias: f32, scale: f32) -> f32 {
    let magnitude = relu(product * scale + magnitude_bias);
    if product + bias > 0.0 { magnitude } else { magnitude * 0.0 }
}

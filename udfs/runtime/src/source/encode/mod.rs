//! From activations to features: one file for each family of architectures.

mod elementwise;
mod pursuit;
mod rows;
mod temporal;
mod topk;

use std::ops::Range;

use candle_core::Tensor;

pub(in crate::source) use self::elementwise::{Elementwise, Rules};
pub(super) use self::pursuit::Pursuit;
pub(super) use self::temporal::Temporal;
pub(super) use self::topk::TopK;
use super::weights::Weights;
use crate::{Error, ErrorKind, Result};

/// What is done to the pre-activations, as a format describes it.
#[derive(Debug, Clone)]
pub(super) enum Activation {
    Relu,
    /// `is_rectified`: negative values that pass a negative threshold are still set to 0.
    JumpRelu {
        is_rectified: bool,
    },
    Gated,
    TopK(TopK),
    /// The largest of each of `k` groups of neighbours.
    GroupMax {
        k: usize,
    },
    Pursuit(Pursuit),
    Temporal(Temporal),
}

impl Activation {
    /// Whether the encoder is the decoder's transpose.
    pub(super) fn is_tied(&self) -> bool {
        match self {
            Self::Pursuit(_) => true,
            Self::Temporal(temporal) => temporal.is_tied,
            _ => false,
        }
    }

    /// Whether the pre-activations have the bias `b_enc`.
    pub(super) fn has_bias(&self) -> bool {
        !matches!(self, Self::Gated | Self::Pursuit(_) | Self::Temporal(_))
    }
}

/// An encoder, ready to run on weights that were folded.
#[derive(Debug, Clone)]
pub(super) enum Encoder {
    Elementwise(Elementwise),
    TopK(TopK),
    GroupMax {
        k: usize,
    },
    Pursuit(Pursuit),
    Temporal(Temporal),
    /// Features are the input.
    Identity,
}

impl Encoder {
    /// The encoder of `activation`; `norms` multiply the pre-activations of a top-k before they are ranked.
    pub(super) fn new(activation: Activation, weights: &Weights, norms: Option<&Tensor>) -> Result<Self> {
        Ok(match activation {
            Activation::Relu | Activation::JumpRelu { .. } | Activation::Gated => {
                Self::Elementwise(Elementwise::new(&activation, weights)?)
            }
            Activation::TopK(topk) => Self::TopK(topk.with_norms(norms)?),
            Activation::GroupMax { k } => Self::GroupMax { k },
            Activation::Pursuit(pursuit) => Self::Pursuit(pursuit),
            Activation::Temporal(temporal) => Self::Temporal(temporal),
        })
    }

    /// Features `[N, F]` of the rows of `x` `[N, d_in]`, which are already normalised and centred.
    pub(super) fn encode(&self, x: &Tensor, weights: &Weights, sequences: &[Range<usize>]) -> Result<Tensor> {
        match self {
            Self::Elementwise(elementwise) => elementwise.apply(x.matmul(&weights.encoder)?),
            Self::TopK(topk) => topk.apply(x.matmul(&weights.encoder)?, &weights.encoder_bias),
            Self::GroupMax { k } => topk::group_max(x.matmul(&weights.encoder)?, &weights.encoder_bias, *k),
            Self::Pursuit(pursuit) => pursuit.encode(x, &weights.decoder),
            Self::Temporal(temporal) => Ok(temporal.encode(x, weights, sequences)?.novel),
            Self::Identity => Ok(x.clone()),
        }
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidInput, message))
}

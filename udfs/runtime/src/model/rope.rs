//! Rotary position embeddings.

use candle_core::{DType, Device, Tensor};

use crate::Result;

/// How positions turn queries and keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rope {
    /// Width of a head's part that is turned.
    pub(super) width: usize,
    /// Base of the frequencies.
    pub(super) theta: f64,
    /// What stretches them.
    pub(super) scaling: Scaling,
}

/// What stretches the frequencies beyond the context that a model was first trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scaling {
    /// Nothing.
    None,
    /// All by one factor.
    Linear(f64),
    /// Llama 3's: long waves by the factor, short ones not, and a ramp between.
    Llama3 {
        /// Factor of the long waves.
        factor: f64,
        /// Context over the longest wave that is left.
        low: f64,
        /// Context over the shortest wave that is stretched in part.
        high: f64,
        /// The context first trained on.
        context: f64,
    },
}

impl Rope {
    /// Turns per position, for each pair of values; in f32, as Hugging Face keeps them.
    fn frequencies(&self) -> Vec<f32> {
        let pairs = self.width / 2;
        let plain = (0..pairs).map(|pair| 1.0 / self.theta.powf(2.0 * pair as f64 / self.width as f64));
        plain.map(|frequency| self.scaling.apply(frequency) as f32).collect()
    }

    /// Cosines and sines at `positions`: `[N, 1, width / 2]` each, in f32.
    pub(super) fn angles(&self, positions: &[usize], device: &Device) -> Result<Angles> {
        let frequencies = self.frequencies();
        let angles = positions.iter().flat_map(|position| frequencies.iter().map(move |turn| *position as f32 * turn));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        let shape = (positions.len(), 1, frequencies.len());
        Ok(Angles { cos: Tensor::from_vec(cos, shape, device)?, sin: Tensor::from_vec(sin, shape, device)? })
    }
}

impl Scaling {
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear(factor) => frequency / factor,
            Self::Llama3 { factor, low, high, context } => {
                let wave = 2.0 * std::f64::consts::PI / frequency;
                if wave < context / high {
                    frequency
                } else if wave > context / low {
                    frequency / factor
                } else {
                    let smooth = (context / wave - low) / (high - low);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}

/// Cosines and sines of a batch's positions.
#[derive(Debug, Clone)]
pub(super) struct Angles {
    cos: Tensor,
    sin: Tensor,
}

impl Angles {
    /// Turns `[N, heads, width of a head]`: the first half of the turned part against the second.
    pub(super) fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, half) = self.cos.dims3()?;
        let (_, _, width) = x.dims3()?;
        let exact = x.to_dtype(DType::F32)?;
        let (first, second) = (exact.narrow(2, 0, half)?, exact.narrow(2, half, half)?);
        let turned_first = (first.broadcast_mul(&self.cos)? - second.broadcast_mul(&self.sin)?)?;
        let turned_second = (second.broadcast_mul(&self.cos)? + first.broadcast_mul(&self.sin)?)?;
        let turned = if width == 2 * half {
            Tensor::cat(&[turned_first, turned_second], 2)?
        } else {
            Tensor::cat(&[turned_first, turned_second, exact.narrow(2, 2 * half, width - 2 * half)?], 2)?
        };
        Ok(turned.to_dtype(x.dtype())?)
    }
}

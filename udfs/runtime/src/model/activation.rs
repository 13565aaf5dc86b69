//! What is done to every value of a matrix: biases and activation functions.
//!
//! On the processor they run in place, on all cores and with the widest vectors there are; elsewhere they are the
//! device's own operations. candle's unary operations use one core and no vectors there.
//!
//! What is to run with the widest vectors is a `WithSimd` of pulp, and not a closure that is handed to it: a closure, or one inside
//! it, that the compiler does not inline is compiled for the narrowest processor. So all of it is `inline(always)`, and loops are loops.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Result;

/// An MLP's activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x · Φ(x)`, by the error function.
    Gelu,
    /// GELU by its tanh approximation: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// `x · σ(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

/// Values that one task works on.
const CHUNK: usize = 16 * 1024;

impl Activation {
    /// Applies the function to every value.
    pub(crate) fn apply(self, x: Tensor) -> Result<Tensor> {
        if is_plain(&x) {
            x.inplace_op1(&self)?;
            return Ok(x);
        }
        Ok(match self {
            Self::Gelu => x.gelu_erf()?,
            Self::GeluTanh => x.gelu()?,
            Self::Silu => x.silu()?,
            Self::Relu => x.relu()?,
        })
    }
}

/// Adds a bias `[width]` to each row.
pub(super) fn add_bias(x: Tensor, bias: &Tensor) -> Result<Tensor> {
    if is_plain(&x) && is_plain(bias) {
        x.inplace_op1(&Bias(bias.to_vec1()?))?;
        return Ok(x);
    }
    Ok(x.broadcast_add(bias)?)
}

/// Whether a tensor's values lie in memory one after another, as f32. Only tensors that nobody else holds are handed to
/// what works in place.
pub(crate) fn is_plain(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && x.is_contiguous()
}

/// The values of a tensor that [`is_plain`].
pub(crate) fn plain_values<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    let CpuStorage::F32(values) = storage else { candle_core::bail!("a value in place is not f32") };
    let Some((start, end)) = layout.contiguous_offsets() else { candle_core::bail!("a value in place has gaps") };
    values.get_mut(start..end).ok_or_else(|| candle_core::Error::Msg("a layout reaches beyond its storage".to_owned()))
}

/// As [`plain_values`], only to read.
pub(crate) fn plain_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else { candle_core::bail!("a value to be read is not f32") };
    let Some((start, end)) = layout.contiguous_offsets() else { candle_core::bail!("a value to be read has gaps") };
    values.get(start..end).ok_or_else(|| candle_core::Error::Msg("a layout reaches beyond its storage".to_owned()))
}

impl InplaceOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        plain_values(storage, layout)?
            .par_chunks_mut(CHUNK)
            .for_each(|values| pulp::Arch::new().dispatch(Values { function: *self, values }));
        Ok(())
    }
}

/// An activation function of some values.
struct Values<'a> {
    function: Activation,
    values: &'a mut [f32],
}

impl WithSimd for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        // One loop for each function, so that each is compiled for vectors.
        match self.function {
            Activation::Gelu => {
                for x in self.values {
                    *x = gelu(*x);
                }
            }
            Activation::GeluTanh => {
                for x in self.values {
                    *x = gelu_tanh(*x);
                }
            }
            Activation::Silu => {
                for x in self.values {
                    *x = silu(*x);
                }
            }
            Activation::Relu => {
                for x in self.values {
                    *x = x.max(0.0);
                }
            }
        }
    }
}

/// A bias, added to each row.
struct Bias(Vec<f32>);

impl InplaceOp1 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let rows = (CHUNK / self.0.len().max(1)).max(1);
        plain_values(storage, layout)?.par_chunks_mut(rows * self.0.len().max(1)).for_each(|rows| {
            pulp::Arch::new().dispatch(Biased { rows, bias: &self.0 });
        });
        Ok(())
    }
}

/// Rows that a bias is added to.
struct Biased<'a> {
    rows: &'a mut [f32],
    bias: &'a [f32],
}

impl WithSimd for Biased<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for row in self.rows.chunks_exact_mut(self.bias.len().max(1)) {
            for (value, bias) in row.iter_mut().zip(self.bias) {
                *value += bias;
            }
        }
    }
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // tanh(u) = 1 - 2 / (1 + e^2u), so that 0.5 · (1 + tanh(u)) = 1 - 1 / (1 + e^2u).
    const TWICE: f32 = 2.0 * 0.797_884_6;
    let twice = TWICE * (x + 0.044_715 * x * x * x);
    x * (1.0 - 1.0 / (1.0 + exp(twice)))
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x · Φ(x)` with Φ from the error function, by W. J. Cody's rational form of `erfc` as Numerical Recipes gives it, whose
/// relative error of 1.2e-7 is that of f32. `erfc` is taken of `|x|`, so that what is rounded is the smaller share.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let series = [
        -1.265_512_2,
        1.000_023_7,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_08,
        -1.135_204,
        1.488_515_9,
        -0.822_152_2,
        0.170_872_77,
    ];
    let sum = series.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let upper = 0.5 * t * exp(sum - z * z);
    x * if x >= 0.0 { 1.0 - upper } else { upper }
}

/// `e^x` to within two units in the last place, written so that a loop over it becomes vector instructions: the power of
/// two by the exponent's bits, the rest by a polynomial (Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these the result is 0 or infinite in f32; the bits below hold up to them.
    let x = x.clamp(-87.0, 88.0);
    // Adding and taking away 1.5 · 2^23 rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let whole = (x * LOG2_E + ROUND) - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * rest + coefficient;
    }
    let power = f32::from_bits(((whole as i32 + 127) << 23) as u32);
    (sum * rest * rest + rest + 1.0) * power
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Activation, exp};

    #[test]
    fn the_exponential_is_exact_to_rounding() {
        for step in -8700..8800 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 3e-7 * exact, "{x}: {} and {exact}", exp(x));
        }
    }

    #[test]
    fn functions_in_place_are_those_of_the_library() {
        let values: Vec<f32> = (-4000..4000).map(|step| step as f32 / 400.0).collect();
        let x = Tensor::new(values.as_slice(), &Device::Cpu).unwrap();
        for (function, expected) in [
            (Activation::Gelu, x.gelu_erf().unwrap()),
            (Activation::GeluTanh, x.gelu().unwrap()),
            (Activation::Silu, x.silu().unwrap()),
            (Activation::Relu, x.relu().unwrap()),
        ] {
            let found = function.apply(x.copy().unwrap()).unwrap().to_vec1::<f32>().unwrap();
            for ((found, expected), x) in found.iter().zip(expected.to_vec1::<f32>().unwrap()).zip(&values) {
                assert!((found - expected).abs() <= 2e-6 * (1.0 + x.abs()), "{function:?}({x}) = {found}, {expected}");
            }
        }
    }
}

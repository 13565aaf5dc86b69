//! Products of a few rows with a weight: what a step of generation does.
//!
//! Such a product is as fast as the weight can be read. So it is read once, front to back, by all cores, each taking a share of
//! its outputs, and may be kept in fewer bits ([`Compact`]), which become f32 in the registers. Every row's sums are made in
//! the same order however many rows there are, so that batch mates cannot change a bit of a result.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use half::{bf16, f16};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activation::plain_slice;
use super::compact::{Compact, Numbers};
use crate::Result;

/// Values that are summed side by side.
const LANES: usize = 32;

/// Outputs that one task makes.
const OUTPUTS: usize = 48;

/// `x [R, in] · weightᵀ`, of a weight `[out, in]`: `[R, out]`. Both are contiguous f32 on the processor.
pub(super) fn multiply(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op2_no_bwd(weight, &Product)?)
}

/// The same with a compact weight.
pub(super) fn multiply_compact(x: &Tensor, weight: &Compact) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1_no_bwd(&CompactProduct(weight))?)
}

struct Product;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product of a few rows"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((rows, _), (outputs, inputs)) = (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        let (x, weight) = (plain_slice(x, x_layout)?, plain_slice(weight, weight_layout)?);
        let y = product(x, weight, &vec![1.0; outputs], Sizes { rows, inputs, outputs, block: inputs });
        Ok((CpuStorage::F32(y), Shape::from((rows, outputs))))
    }
}

struct CompactProduct<'a>(&'a Compact);

impl CustomOp1 for CompactProduct<'_> {
    fn name(&self) -> &'static str {
        "product of a few rows with a compact weight"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Compact { numbers, inputs, outputs } = self.0;
        let (rows, width) = layout.shape().dims2()?;
        if width != *inputs {
            candle_core::bail!("rows of {width} values for a weight of {inputs}");
        }
        let x = plain_slice(x, layout)?;
        let sizes = Sizes { rows, inputs: *inputs, outputs: *outputs, block: self.0.block() };
        let y = match numbers {
            Numbers::Bf16(weight) => product(x, weight, &vec![1.0; *outputs], sizes),
            Numbers::F16(weight) => product(x, weight, &vec![1.0; *outputs], sizes),
            Numbers::Int16(weight, factors) => product(x, weight, factors, sizes),
            Numbers::Int8(weight, factors) => product(x, weight, factors, sizes),
        };
        Ok((CpuStorage::F32(y), Shape::from((rows, *outputs))))
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    inputs: usize,
    outputs: usize,
    /// Weights of a row that share a factor.
    block: usize,
}

/// `[rows, outputs]`.
fn product<W: Weight>(x: &[f32], weight: &[W], factors: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { rows, inputs, outputs, block } = sizes;
    if rows * inputs * outputs == 0 {
        return vec![0.0; rows * outputs];
    }
    let mut by_output = vec![0.0f32; outputs * rows];
    let shares = weight.par_chunks(OUTPUTS * inputs).zip(factors.par_chunks(OUTPUTS * inputs.div_ceil(block)));
    by_output.par_chunks_mut(OUTPUTS * rows).zip(shares).for_each(|(y, (weight, factors))| {
        pulp::Arch::new().dispatch(Share { x, weight, factors, y, sizes });
    });
    if rows == 1 {
        return by_output;
    }
    let mut y = vec![0.0f32; outputs * rows];
    for (row, y) in y.chunks_exact_mut(outputs).enumerate() {
        for (y, of_output) in y.iter_mut().zip(by_output.chunks_exact(rows)) {
            *y = of_output.get(row).copied().unwrap_or_default();
        }
    }
    y
}

/// A number as weights are kept.
trait Weight: Copy + Sync {
    fn widen(self) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Weight for f16 {
    /// Of finite numbers: the exponent's and the fraction's bits at their places in f32, and then the exponents' zeros made to
    /// meet by a factor, which is exact for the smallest numbers too.
    #[inline(always)]
    fn widen(self) -> f32 {
        const MEET: f32 = f32::from_bits((127 + 112) << 23);
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * MEET;
        f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
    }
}

impl Weight for i16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

impl Weight for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

/// A task's share: some outputs of all rows.
struct Share<'a, W> {
    x: &'a [f32],
    weight: &'a [W],
    factors: &'a [f32],
    /// `[outputs, rows]`.
    y: &'a mut [f32],
    sizes: Sizes,
}

impl<W: Weight> WithSimd for Share<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Sizes { rows, inputs, block, .. } = self.sizes;
        let weights = self.weight.chunks_exact(inputs).zip(self.factors.chunks_exact(inputs.div_ceil(block)));
        for (weight, y) in weights.zip(self.y.chunks_exact_mut(rows)) {
            let (fours, rest) = y.as_chunks_mut::<4>();
            for (x, y) in self.x.chunks_exact(4 * inputs).zip(fours.iter_mut()) {
                *y = dots::<W, 4>(weight, block, x);
            }
            let done = 4 * fours.len() * inputs;
            for (x, y) in self.x.get(done..).unwrap_or_default().chunks_exact(inputs).zip(rest) {
                let [dot] = dots::<W, 1>(weight, block, x);
                *y = dot;
            }
        }
    }
}

/// Products of a row of weights, with a factor for each block, and `R` rows that lie one after another in `x`.
#[inline(always)]
fn dots<W: Weight, const R: usize>((weight, factors): (&[W], &[f32]), block: usize, x: &[f32]) -> [f32; R] {
    let inputs = weight.len();
    let mut rows: [&[f32]; R] = [&[]; R];
    for (row, values) in rows.iter_mut().zip(x.chunks_exact(inputs)) {
        *row = values;
    }
    let mut lanes = [[0.0f32; LANES]; R];
    let mut rests = [0.0f32; R];
    for (number, (weight, factor)) in weight.chunks(block).zip(factors).enumerate() {
        let (chunks, tail) = weight.as_chunks::<LANES>();
        for (row, (lanes, rest)) in rows.iter().zip(lanes.iter_mut().zip(&mut rests)) {
            let own = row.get(number * block..number * block + weight.len()).unwrap_or_default();
            let (own, own_tail) = own.as_chunks::<LANES>();
            let mut sums = [0.0f32; LANES];
            for (weight, x) in chunks.iter().zip(own) {
                for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weight) {
                    *sum = x.mul_add(weight.widen(), *sum);
                }
            }
            for (lane, sum) in lanes.iter_mut().zip(&sums) {
                *lane = sum.mul_add(*factor, *lane);
            }
            for (weight, x) in tail.iter().zip(own_tail) {
                *rest += weight.widen() * x * factor;
            }
        }
    }
    let mut sums = [0.0f32; R];
    for ((sum, lanes), rest) in sums.iter_mut().zip(&lanes).zip(&rests) {
        *sum = fold(lanes) + rest;
    }
    sums
}

/// The sum of the lanes, by halves.
#[inline(always)]
fn fold(lanes: &[f32; LANES]) -> f32 {
    let mut lanes = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high.iter()) {
            *low += *high;
        }
        half /= 2;
    }
    let [sum, ..] = lanes;
    sum
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::super::compact::{Compact, StepWeights};
    use super::{multiply, multiply_compact};

    fn random(rows: usize, width: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, width), &Device::Cpu).unwrap()
    }

    fn compact(weight: &Tensor, kind: StepWeights) -> Compact {
        let values: Vec<f32> = weight.flatten_all().unwrap().to_vec1().unwrap();
        Compact::new(&values, weight.dim(1).unwrap(), kind).unwrap()
    }

    fn distance(one: &Tensor, other: &Tensor) -> f32 {
        let far = (one - other).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        far.to_scalar().unwrap()
    }

    #[test]
    fn products_are_those_of_the_library_and_of_each_row_alone() {
        for (rows, inputs, outputs) in [(1, 768, 100), (3, 33, 7), (9, 100, 301), (4, 5, 1)] {
            let (x, weight) = (random(rows, inputs), random(outputs, inputs));
            let small = compact(&weight, StepWeights::Int8);
            let expected = x.matmul(&weight.t().unwrap()).unwrap();
            for kept in [None, Some(&small)] {
                let by =
                    |x: &Tensor| kept.map_or_else(|| multiply(x, &weight), |small| multiply_compact(x, small)).unwrap();
                let found = by(&x);
                let most = if kept.is_none() { 1e-3 } else { 0.05 * (inputs as f32).sqrt() };
                assert!(distance(&found, &expected) < most, "{rows} {inputs} {outputs}");
                for row in 0..rows {
                    let alone = by(&x.narrow(0, row, 1).unwrap()).to_vec2::<f32>().unwrap();
                    assert_eq!(alone, found.narrow(0, row, 1).unwrap().to_vec2::<f32>().unwrap());
                }
            }
        }
    }

    #[test]
    fn half_precision_is_kept_to_the_bit_and_the_rest_nearly() {
        let (x, weight) = (random(5, 200), random(60, 200));
        for dtype in [DType::BF16, DType::F16] {
            // Down to the smallest numbers that the type has.
            for scale in [1.0, 1e-6] {
                let half = (&weight * scale).unwrap().to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
                let found = multiply_compact(&x, &compact(&half, StepWeights::Near)).unwrap();
                assert_eq!(distance(&found, &multiply(&x, &half).unwrap()), 0.0, "{dtype:?}");
            }
        }
        let found = multiply_compact(&x, &compact(&weight, StepWeights::Near)).unwrap();
        let far = distance(&found, &multiply(&x, &weight).unwrap());
        assert!(far > 0.0 && far < 4e-3, "{far}");
    }
}

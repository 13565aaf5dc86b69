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
use crate::lanes::fold;

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
        let blocks = inputs.div_ceil(block);
        for output in 0..self.y.len() / rows {
            let weight = &self.weight[output * inputs..(output + 1) * inputs];
            let factors = &self.factors[output * blocks..(output + 1) * blocks];
            let y = &mut self.y[output * rows..(output + 1) * rows];
            let mut row = 0;
            while row + 4 <= rows {
                let dots = four(weight, factors, block, &self.x[row * inputs..(row + 4) * inputs]);
                y[row..row + 4].copy_from_slice(&dots);
                row += 4;
            }
            while row < rows {
                y[row] = one(weight, factors, block, &self.x[row * inputs..(row + 1) * inputs]);
                row += 1;
            }
        }
    }
}

/// Products of a row of weights, with a factor for each block, and four rows that lie one after another in `x`.
///
/// Loops go by index, and the four rows by name: what iterators and nested arrays are made of is not always inlined or kept in
/// registers here, and then costs more than the products.
#[inline(always)]
fn four<W: Weight>(weight: &[W], factors: &[f32], block: usize, x: &[f32]) -> [f32; 4] {
    let inputs = weight.len();
    let (x0, x1) = (&x[..inputs], &x[inputs..2 * inputs]);
    let (x2, x3) = (&x[2 * inputs..3 * inputs], &x[3 * inputs..4 * inputs]);
    let [mut l0, mut l1, mut l2, mut l3] = [[0.0f32; LANES]; 4];
    let (mut start, mut number) = (0, 0);
    while start < inputs {
        let end = (start + block).min(inputs);
        let chunks = weight[start..end].as_chunks::<LANES>().0;
        let count = chunks.len();
        let (c0, c1) =
            (&x0[start..end].as_chunks::<LANES>().0[..count], &x1[start..end].as_chunks::<LANES>().0[..count]);
        let (c2, c3) =
            (&x2[start..end].as_chunks::<LANES>().0[..count], &x3[start..end].as_chunks::<LANES>().0[..count]);
        let [mut s0, mut s1, mut s2, mut s3] = [[0.0f32; LANES]; 4];
        for chunk in 0..count {
            let wide = widened(&chunks[chunk]);
            accumulate(&mut s0, &c0[chunk], &wide);
            accumulate(&mut s1, &c1[chunk], &wide);
            accumulate(&mut s2, &c2[chunk], &wide);
            accumulate(&mut s3, &c3[chunk], &wide);
        }
        let factor = [factors[number]; LANES];
        accumulate(&mut l0, &s0, &factor);
        accumulate(&mut l1, &s1, &factor);
        accumulate(&mut l2, &s2, &factor);
        accumulate(&mut l3, &s3, &factor);
        (start, number) = (end, number + 1);
    }
    let rest = |x: &[f32]| tails(weight, factors, block, x);
    [fold(l0) + rest(x0), fold(l1) + rest(x1), fold(l2) + rest(x2), fold(l3) + rest(x3)]
}

/// As [`four`], of one row, in the same order.
#[inline(always)]
fn one<W: Weight>(weight: &[W], factors: &[f32], block: usize, x: &[f32]) -> f32 {
    let inputs = weight.len();
    let mut lanes = [0.0f32; LANES];
    let (mut start, mut number) = (0, 0);
    while start < inputs {
        let end = (start + block).min(inputs);
        let chunks = weight[start..end].as_chunks::<LANES>().0;
        let own = &x[start..end].as_chunks::<LANES>().0[..chunks.len()];
        let mut sums = [0.0f32; LANES];
        for chunk in 0..chunks.len() {
            accumulate(&mut sums, &own[chunk], &widened(&chunks[chunk]));
        }
        accumulate(&mut lanes, &sums, &[factors[number]; LANES]);
        (start, number) = (end, number + 1);
    }
    fold(lanes) + tails(weight, factors, block, x)
}

#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn widened<W: Weight>(weight: &[W; LANES]) -> [f32; LANES] {
    let mut wide = [0.0f32; LANES];
    for lane in 0..LANES {
        wide[lane] = weight[lane].widen();
    }
    wide
}

#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn accumulate(sums: &mut [f32; LANES], x: &[f32; LANES], weight: &[f32; LANES]) {
    for lane in 0..LANES {
        sums[lane] = x[lane].mul_add(weight[lane], sums[lane]);
    }
}

/// The products that do not fill the lanes, at the end of the last block: blocks before it are whole numbers of lanes.
#[inline(always)]
fn tails<W: Weight>(weight: &[W], factors: &[f32], block: usize, x: &[f32]) -> f32 {
    let mut sum = 0.0;
    for place in weight.len() - weight.len() % LANES..weight.len() {
        sum += weight[place].widen() * x[place] * factors[place / block];
    }
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

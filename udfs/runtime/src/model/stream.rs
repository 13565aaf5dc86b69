//! Products of a few rows with a weight: what a step of generation does.
//!
//! Such a product is as fast as the weight can be read. So it is read once, front to back, by all cores, each taking a share of
//! its outputs; and every row's sums are made in the same order however many rows there are, so that batch mates cannot
//! change a bit of a result.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activation::plain_slice;
use crate::Result;

/// Values that are summed side by side.
const LANES: usize = 32;

/// Outputs that one task makes.
const OUTPUTS: usize = 48;

/// `x [R, in] · weightᵀ`, of a weight `[out, in]`: `[R, out]`. Both are contiguous f32 on the processor.
pub(super) fn multiply(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op2_no_bwd(weight, &Product)?)
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
        let ((rows, inputs), (outputs, _)) = (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        let (x, weight) = (plain_slice(x, x_layout)?, plain_slice(weight, weight_layout)?);
        let y = product(x, weight, rows, inputs.max(1), outputs);
        Ok((CpuStorage::F32(y), Shape::from((rows, outputs))))
    }
}

/// As [`multiply`], of slices.
fn product<W: Weight>(x: &[f32], weight: &[W], rows: usize, inputs: usize, outputs: usize) -> Vec<f32> {
    let mut by_output = vec![0.0f32; outputs * rows];
    let tasks = by_output.par_chunks_mut(OUTPUTS * rows.max(1)).zip(weight.par_chunks(OUTPUTS * inputs));
    tasks.for_each(|(y, weight)| pulp::Arch::new().dispatch(Share { x, weight, y, rows, inputs }));
    if rows == 1 {
        return by_output;
    }
    let mut y = vec![0.0f32; outputs * rows];
    for (row, y) in y.chunks_exact_mut(outputs.max(1)).enumerate() {
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

/// A task's share: some outputs of all rows.
struct Share<'a, W> {
    x: &'a [f32],
    weight: &'a [W],
    /// `[outputs, rows]`.
    y: &'a mut [f32],
    rows: usize,
    inputs: usize,
}

impl<W: Weight> WithSimd for Share<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let outputs = self.weight.chunks_exact(self.inputs).zip(self.y.chunks_exact_mut(self.rows));
        for (weight, y) in outputs {
            let (fours, rest) = y.as_chunks_mut::<4>();
            for (x, y) in self.x.chunks_exact(4 * self.inputs).zip(fours.iter_mut()) {
                *y = dots::<W, 4>(weight, x);
            }
            let done = 4 * fours.len() * self.inputs;
            for (x, y) in self.x.get(done..).unwrap_or_default().chunks_exact(self.inputs).zip(rest) {
                let [dot] = dots::<W, 1>(weight, x);
                *y = dot;
            }
        }
    }
}

/// Products of `weight` with `R` rows that lie one after another in `x`.
#[inline(always)]
fn dots<W: Weight, const R: usize>(weight: &[W], x: &[f32]) -> [f32; R] {
    let inputs = weight.len();
    let mut rows: [&[f32]; R] = [&[]; R];
    for (row, values) in rows.iter_mut().zip(x.chunks_exact(inputs)) {
        *row = values;
    }
    let mut lanes = [[0.0f32; LANES]; R];
    let (chunks, tail) = weight.as_chunks::<LANES>();
    for (number, weight) in chunks.iter().enumerate() {
        for (lanes, row) in lanes.iter_mut().zip(&rows) {
            let Some(x) = row.as_chunks::<LANES>().0.get(number) else { continue };
            for ((lane, x), weight) in lanes.iter_mut().zip(x).zip(weight) {
                *lane = x.mul_add(weight.widen(), *lane);
            }
        }
    }
    let mut sums = [0.0f32; R];
    for ((sum, lanes), row) in sums.iter_mut().zip(&lanes).zip(&rows) {
        let rest = row.as_chunks::<LANES>().1;
        let last: f32 = tail.iter().zip(rest).map(|(weight, x)| weight.widen() * x).sum();
        *sum = fold(lanes) + last;
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
    lanes[0]
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::multiply;

    #[test]
    fn products_are_those_of_the_library_and_of_each_row_alone() {
        for (rows, inputs, outputs) in [(1, 768, 100), (3, 33, 7), (9, 100, 301), (4, 5, 1)] {
            let x = Tensor::randn(0f32, 1.0, (rows, inputs), &Device::Cpu).unwrap();
            let weight = Tensor::randn(0f32, 1.0, (outputs, inputs), &Device::Cpu).unwrap();
            let found = multiply(&x, &weight).unwrap();
            let expected = x.matmul(&weight.t().unwrap()).unwrap();
            let far = (&found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(far.to_scalar::<f32>().unwrap() < 1e-3);
            for row in 0..rows {
                let alone = multiply(&x.narrow(0, row, 1).unwrap(), &weight).unwrap();
                let together = found.narrow(0, row, 1).unwrap();
                assert_eq!(alone.to_vec2::<f32>().unwrap(), together.to_vec2::<f32>().unwrap());
            }
        }
    }
}

//! How far a product of bytes may be from the product that it stands for.
//!
//! Let `x̂` be the row and `ŵ` the direction after rounding. By Cauchy-Schwarz
//!
//! ```text
//! |x·w - x̂·ŵ| = |(x - x̂)·w + x̂·(w - ŵ)| ≤ |x - x̂| |w| + |x̂| |w - ŵ|
//! ```
//!
//! and `x̂·ŵ` is known exactly but for two factors, the steps. What is compared with is no ideal `x·w` but a sum in single
//! precision, which is within `d ε |x| |w|` of it in whatever order it is made (`ε = 2⁻²⁴`, and `d` terms; Higham 2002, section 3.1,
//! but for terms in `ε²`). A dozen more roundings happen here, each of something that is at most `3 |x| |w|`, since rounding to a
//! step never moves a vector by more than its length. So
//!
//! ```text
//! |fl(x·w) - fl(x̂·ŵ)| ≤ |x - x̂| |w| + |x| |w - ŵ| + (d + 64) ε |x| |w|
//! ```
//!
//! where `|x|` and `|w|` are the larger of the lengths before and after rounding. Inputs that are set apart ([`Apart`]) are rounded
//! only as floats are: the row's length counts without them in the first two terms, and with them in the third. What is below
//! the normal numbers is not covered by factors: the smallest of them is added. All this is done in units of the direction's
//! step, which is multiplied last.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::apart::Apart;
use super::codes::{Codes, GROUP, Rows};

/// Lengths and products of lengths up to these do not overflow in any step.
const LARGEST_LENGTH: f32 = 1e30;
const LARGEST_PRODUCT: f64 = 1e36;

/// Whether bounds can be made where no row and no direction is longer than these.
pub(super) fn is_in_range(row: f32, direction: f32) -> bool {
    row < LARGEST_LENGTH && direction < LARGEST_LENGTH && f64::from(row) * f64::from(direction) < LARGEST_PRODUCT
}

/// What the maxima over some rows of the products with a group's directions lie between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub lower: [f32; GROUP],
    pub upper: [f32; GROUP],
}

/// What bounds are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub rows: &'a Rows,
    pub codes: &'a Codes,
    pub apart: &'a Apart,
}

impl Bounds<'_> {
    /// Ends of the maxima over some rows, whose `products` with a group's directions are given row after row.
    pub(super) fn ends(&self, rows: Range<usize>, group: usize, products: &[i32]) -> Ends {
        let lanes = group * GROUP..(group + 1) * GROUP;
        let mut ends = Ends { lower: [f32::NEG_INFINITY; GROUP], upper: [f32::NEG_INFINITY; GROUP] };
        Arch::new().dispatch(Maxima {
            bounds: *self,
            rows,
            products,
            apart: self.apart.group(group),
            lengths: &self.codes.lengths[lanes.clone()],
            rests: &self.codes.rests[lanes.clone()],
            ends: &mut ends,
        });
        for (lane, step) in self.codes.steps[lanes].iter().enumerate() {
            ends.lower[lane] = ends.lower[lane] * step - f32::MIN_POSITIVE;
            ends.upper[lane] = ends.upper[lane] * step + f32::MIN_POSITIVE;
        }
        ends
    }

    /// The upper end of one row's product with one direction.
    pub(super) fn upper(&self, row: usize, feature: usize, product: i32) -> f32 {
        let row = self.row(row);
        let (group, lane) = (self.apart.group(feature / GROUP), feature % GROUP);
        let mut near = product as f32 * row.step;
        for input in 0..row.apart.len() {
            near += row.apart[input] * group[input * GROUP + lane];
        }
        let bound = row.bound(self.codes.lengths[feature], self.codes.rests[feature]);
        (near + bound) * self.codes.steps[feature] + f32::MIN_POSITIVE
    }

    #[inline(always)]
    fn row(&self, row: usize) -> Row<'_> {
        let (scale, length) = (&self.rows.scales[row], self.rows.lengths[row]);
        let lost = (self.rows.depth + 64) as f32 * (f32::EPSILON / 2.0);
        Row { step: scale.step, length: scale.length, rest: scale.rest + lost * length, apart: self.apart.row(row) }
    }
}

/// What a row brings to its bounds.
struct Row<'a> {
    step: f32,
    length: f32,
    /// Factor of a direction's length: what rounding left, and the share of the length that floats may lose.
    rest: f32,
    apart: &'a [f32],
}

impl Row<'_> {
    /// In steps of the direction, as its two lengths.
    #[inline(always)]
    fn bound(&self, length: f32, rest: f32) -> f32 {
        self.rest * length + self.length * rest
    }
}

struct Maxima<'a> {
    bounds: Bounds<'a>,
    rows: Range<usize>,
    products: &'a [i32],
    apart: &'a [f32],
    lengths: &'a [f32],
    rests: &'a [f32],
    ends: &'a mut Ends,
}

impl WithSimd for Maxima<'_> {
    type Output = ();

    // Loops by index: iterators are not compiled for these instructions where they are not inlined.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (lengths, rests) = (&self.lengths[..GROUP], &self.rests[..GROUP]);
        let (mut lowers, mut uppers) = (self.ends.lower, self.ends.upper);
        for number in 0..self.rows.len() {
            let row = self.bounds.row(self.rows.start + number);
            let products = &self.products[number * GROUP..(number + 1) * GROUP];
            let mut near = [0f32; GROUP];
            for lane in 0..GROUP {
                near[lane] = products[lane] as f32 * row.step;
            }
            for input in 0..row.apart.len() {
                let (value, directions) = (row.apart[input], &self.apart[input * GROUP..(input + 1) * GROUP]);
                for lane in 0..GROUP {
                    near[lane] += value * directions[lane];
                }
            }
            for lane in 0..GROUP {
                let bound = row.bound(lengths[lane], rests[lane]);
                let (lower, upper) = (near[lane] - bound, near[lane] + bound);
                lowers[lane] = if lower > lowers[lane] { lower } else { lowers[lane] };
                uppers[lane] = if upper > uppers[lane] { upper } else { uppers[lane] };
            }
        }
        (self.ends.lower, self.ends.upper) = (lowers, uppers);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::apart::{Apart, outstanding};
    use super::super::codes::{Codes, GROUP, Rows};
    use super::super::exact::{dot, with_columns};
    use super::super::kernel::Kernel;
    use super::Bounds;
    use crate::random::Random;

    /// A number of one of the shapes that trouble rounding.
    fn number(random: &mut Random, shape: usize, at: usize) -> f32 {
        let signed = random.signed();
        match shape {
            0 => signed,
            1 => signed.powi(9),
            2 => signed.signum(),
            3 => {
                if at % 41 == 3 {
                    50.0 * signed
                } else {
                    signed
                }
            }
            4 => signed * 1e-33,
            5 => signed * 1e15,
            6 => {
                if signed > 0.0 {
                    0.0
                } else {
                    signed * 1e-42
                }
            }
            _ => (signed * 127.0).trunc() + 0.5,
        }
    }

    #[test]
    fn products_lie_between_their_ends() {
        let mut random = Random::new(5);
        for (shape, inputs) in (0..64).map(|shape| (shape, 1 + random.below(300))).collect::<Vec<_>>() {
            let (rows, count) = (9, GROUP);
            let x: Vec<f32> = (0..rows * inputs).map(|at| number(&mut random, shape % 8, at % inputs)).collect();
            // Half of the directions are rows, so that all terms have one sign.
            let w: Vec<f32> = (0..count * inputs)
                .map(|at| match at / inputs {
                    column if column < rows => x[at],
                    column => number(&mut random, shape / 8, column + at),
                })
                .collect();
            let encoder = Tensor::from_vec(w.clone(), (count, inputs), &Device::Cpu).unwrap().t().unwrap();
            let apart = outstanding(&x, inputs);
            let (codes, values) = with_columns(&encoder, |columns| {
                let codes = Codes::new(columns).unwrap();
                let values = Apart::new(&apart, &x, columns, &codes);
                (codes, values)
            })
            .unwrap();
            let made = Rows::new(&x, inputs, &apart);
            let bounds = Bounds { rows: &made, codes: &codes, apart: &values };
            let mut products = Vec::new();
            for row in 0..rows {
                Kernel::Plain.products(&made, row..row + 1, &codes, 0, &mut products);
                let ends = bounds.ends(row..row + 1, 0, &products);
                for (feature, direction) in w.chunks_exact(inputs).enumerate() {
                    let product = dot(&x[row * inputs..(row + 1) * inputs], direction);
                    let (lower, upper) = (ends.lower[feature], ends.upper[feature]);
                    assert!(lower <= product && product <= upper, "{shape}: {lower} {product} {upper}");
                    assert!(product <= bounds.upper(row, feature, products[feature]));
                    let length = |vector: &[f32]| vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                    let room = 0.2 * length(&x[row * inputs..(row + 1) * inputs]) * length(direction);
                    let is_tight = f64::from(upper) - f64::from(lower) <= room + 1e-30;
                    assert!(is_tight || inputs > 40 || shape % 8 == 4 || shape / 8 == 4, "{shape}: {lower} {upper}");
                }
            }
        }
    }
}

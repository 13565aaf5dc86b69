//! Sums over vectors of `f32`.
//!
//! Plain loops over independent lanes, compiled once for each instruction set by `pulp`: a float sum has an order, so the
//! compiler makes vector code only where the lanes are spelled out. Everything inside is inlined by force, because what is
//! not is compiled for the oldest processor. The order of the sums, and with it the last digit, may differ between
//! processors.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

/// Independent sums: enough registers of them to hide how long one addition takes.
const LANES: usize = 32;

/// `Σ aᵢ·bᵢ` over the shorter of the two.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Sum { a, b, term: PhantomData::<Product> })
}

/// `Σ (aᵢ-bᵢ)²` over the shorter of the two.
pub(crate) fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Sum { a, b, term: PhantomData::<SquaredDifference> })
}

/// `Σ aᵢ·scale·cᵢ`, where `cᵢ = 256·highᵢ + lowᵢ`.
pub(crate) fn dot_split(a: &[f32], high: &[i8], low: &[i8], scale: f32) -> f32 {
    Arch::new().dispatch(SplitSum { a, high, low, scale, term: PhantomData::<Product> })
}

/// `Σ (aᵢ-scale·cᵢ)²`, where `cᵢ = 256·highᵢ + lowᵢ`.
pub(crate) fn squared_l2_split(a: &[f32], high: &[i8], low: &[i8], scale: f32) -> f32 {
    Arch::new().dispatch(SplitSum { a, high, low, scale, term: PhantomData::<SquaredDifference> })
}

/// What is summed.
trait Term {
    fn of(a: f32, b: f32) -> f32;
}

struct Product;

impl Term for Product {
    #[inline(always)]
    fn of(a: f32, b: f32) -> f32 {
        a * b
    }
}

struct SquaredDifference;

impl Term for SquaredDifference {
    #[inline(always)]
    fn of(a: f32, b: f32) -> f32 {
        (a - b) * (a - b)
    }
}

struct Sum<'a, T> {
    a: &'a [f32],
    b: &'a [f32],
    term: PhantomData<T>,
}

impl<T: Term> WithSimd for Sum<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let length = self.a.len().min(self.b.len());
        let (a, b) = (&self.a[..length], &self.b[..length]);
        let mut lanes = [0f32; LANES];
        let mut at = 0;
        while at + LANES <= length {
            let (a, b) = (&a[at..at + LANES], &b[at..at + LANES]);
            for lane in 0..LANES {
                lanes[lane] += T::of(a[lane], b[lane]);
            }
            at += LANES;
        }
        for rest in at..length {
            lanes[0] += T::of(a[rest], b[rest]);
        }
        total(lanes)
    }
}

struct SplitSum<'a, T> {
    a: &'a [f32],
    high: &'a [i8],
    low: &'a [i8],
    scale: f32,
    term: PhantomData<T>,
}

impl<T: Term> WithSimd for SplitSum<'_, T> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let length = self.a.len().min(self.high.len()).min(self.low.len());
        let (a, high, low) = (&self.a[..length], &self.high[..length], &self.low[..length]);
        let mut lanes = [0f32; LANES];
        let mut at = 0;
        while at + LANES <= length {
            let (a, high, low) = (&a[at..at + LANES], &high[at..at + LANES], &low[at..at + LANES]);
            for lane in 0..LANES {
                lanes[lane] += T::of(a[lane], self.scale * joined(high[lane], low[lane]));
            }
            at += LANES;
        }
        for rest in at..length {
            lanes[0] += T::of(a[rest], self.scale * joined(high[rest], low[rest]));
        }
        total(lanes)
    }
}

#[inline(always)]
fn joined(high: i8, low: i8) -> f32 {
    (i32::from(high) * 256 + i32::from(low)) as f32
}

/// Pairwise, which loses less than one after the other.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_f64_at_every_length() {
        for length in 0..200 {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 1.3).cos()).collect();
            let pairs = || a.iter().zip(&b).map(|(&x, &y)| (f64::from(x), f64::from(y)));
            let dots: f64 = pairs().map(|(x, y)| x * y).sum();
            let squares: f64 = pairs().map(|(x, y)| (x - y).powi(2)).sum();
            assert!((f64::from(dot(&a, &b)) - dots).abs() < 1e-4, "{length}");
            assert!((f64::from(squared_l2(&a, &b)) - squares).abs() < 1e-4, "{length}");
        }
    }

    #[test]
    fn split_codes_are_put_together() {
        let a: Vec<f32> = (0..77).map(|i| (i as f32 * 0.7).sin()).collect();
        let codes: Vec<i32> = (0..77).map(|i| i * 831 - 32_000).collect();
        let high: Vec<i8> = codes.iter().map(|code| ((code + 128) >> 8) as i8).collect();
        let low: Vec<i8> = codes.iter().map(|&code| code as i8).collect();
        let values: Vec<f32> = codes.iter().map(|&code| code as f32).collect();
        assert!((dot_split(&a, &high, &low, 1.0) - dot(&a, &values)).abs() < 1.0);
        let scaled: Vec<f32> = values.iter().map(|value| value * 1e-4).collect();
        assert!((squared_l2_split(&a, &high, &low, 1e-4) - squared_l2(&a, &scaled)).abs() < 1e-3);
    }
}

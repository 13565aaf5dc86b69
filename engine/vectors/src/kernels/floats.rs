//! Sums over vectors of `f32`.
//!
//! Plain loops over independent lanes, compiled once for each instruction set by `pulp`: a float sum has an order, so the
//! compiler makes vector code only where the lanes are spelled out. The order of the sums, and with it the last digit, may
//! differ between processors.

use pulp::Arch;

/// Independent sums. Two AVX2 registers of accumulators hide the latency of one addition each; four hide it fully.
const LANES: usize = 32;

/// `Σ aᵢ·bᵢ` over the shorter of the two.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(|| sum(a, b, |x, y, sum| x.mul_add(y, sum)))
}

/// `Σ (aᵢ-bᵢ)²` over the shorter of the two.
pub(crate) fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(|| {
        sum(a, b, |x, y, sum| {
            let difference = x - y;
            difference.mul_add(difference, sum)
        })
    })
}

/// `Σ aᵢ·cᵢ`, where `cᵢ = 256·highᵢ + lowᵢ`.
pub(crate) fn dot_split(a: &[f32], high: &[i8], low: &[i8]) -> f32 {
    Arch::new().dispatch(|| sum_split(a, high, low, |x, c, sum| x.mul_add(c, sum)))
}

/// `Σ (aᵢ-scale·cᵢ)²`, where `cᵢ = 256·highᵢ + lowᵢ`.
pub(crate) fn squared_l2_split(a: &[f32], high: &[i8], low: &[i8], scale: f32) -> f32 {
    Arch::new().dispatch(|| {
        sum_split(a, high, low, |x, c, sum| {
            let difference = (-scale).mul_add(c, x);
            difference.mul_add(difference, sum)
        })
    })
}

#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder()).fold(0.0, |sum, (&x, &y)| term(x, y, sum));
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            lanes[lane] = term(a[lane], b[lane], lanes[lane]);
        }
    }
    total(lanes) + rest
}

#[inline(always)]
fn sum_split(a: &[f32], high: &[i8], low: &[i8], term: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let value = |high: i8, low: i8| (i32::from(high) * 256 + i32::from(low)) as f32;
    let mut lanes = [0f32; LANES];
    let (a, high, low) = (a.chunks_exact(LANES), high.chunks_exact(LANES), low.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(high.remainder()).zip(low.remainder());
    let rest = rest.fold(0.0, |sum, ((&x, &high), &low)| term(x, value(high, low), sum));
    for ((a, high), low) in a.zip(high).zip(low) {
        for lane in 0..LANES {
            lanes[lane] = term(a[lane], value(high[lane], low[lane]), lanes[lane]);
        }
    }
    total(lanes) + rest
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
        assert!((dot_split(&a, &high, &low) - dot(&a, &values)).abs() < 1.0);
        let scaled: Vec<f32> = values.iter().map(|value| value * 1e-4).collect();
        assert!((squared_l2_split(&a, &high, &low, 1e-4) - squared_l2(&a, &scaled)).abs() < 1e-3);
    }
}

//! Small products of matrices that are narrow panels, for attention: too small for a general product's overhead.
//!
//! A panel is eight rows of a matrix side by side: entry `k` has the `k`th value of each of them. A product of two panels
//! is eight by eight sums, which stay in vector registers from the first entry to the last.
//!
//! Loops count instead of zipping: where a function is compiled for wider vectors than its crate, iterators over several
//! slices are not always inlined into it, and a call for each entry takes longer than its sums.

#![allow(clippy::needless_range_loop)]

use crate::model::exp;

/// Rows of a panel.
pub(super) const LANES: usize = 8;

/// One value of each row of a panel.
pub(super) type Lanes = [f32; LANES];

/// The products of each row of `a` with each row of `b`: `sums[i][j] = Σ a[k][i] · b[k][j]`.
#[inline(always)]
pub(super) fn product(a: &[Lanes], b: &[Lanes]) -> [Lanes; LANES] {
    let mut sums = [[0.0; LANES]; LANES];
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    for k in 0..length {
        for i in 0..LANES {
            for j in 0..LANES {
                sums[i][j] += a[k][i] * b[k][j];
            }
        }
    }
    sums
}

/// Turns weights' logarithms into weights, for each lane by itself, and gives the lanes' sums: a softmax that is not
/// divided yet.
#[inline(always)]
pub(super) fn exponentials(scores: &mut [Lanes]) -> Lanes {
    let mut most = [f32::NEG_INFINITY; LANES];
    for score in scores.iter() {
        for lane in 0..LANES {
            most[lane] = most[lane].max(score[lane]);
        }
    }
    let mut total = [0.0; LANES];
    for score in scores {
        for lane in 0..LANES {
            score[lane] = exp(score[lane] - most[lane]);
            total[lane] += score[lane];
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::{LANES, Lanes, exponentials, product};

    fn panel(length: usize, step: f32) -> Vec<Lanes> {
        (0..length).map(|k| std::array::from_fn(|lane| ((k * LANES + lane) as f32 * step).sin())).collect()
    }

    #[test]
    fn a_product_has_the_sums_of_the_rows_products() {
        let (a, b) = (panel(13, 0.7), panel(13, 1.3));
        let found = product(&a, &b);
        for i in 0..LANES {
            for j in 0..LANES {
                let expected: f32 = a.iter().zip(&b).map(|(a, b)| a[i] * b[j]).sum();
                assert!((found[i][j] - expected).abs() < 1e-5, "{i}, {j}: {} and {expected}", found[i][j]);
            }
        }
    }

    #[test]
    fn exponentials_divided_by_their_sum_are_a_softmax() {
        let scores = panel(5, 40.0);
        let mut weights = scores.clone();
        let total = exponentials(&mut weights);
        for lane in 0..LANES {
            let sum: f32 = scores.iter().map(|score| score[lane].exp()).sum();
            for (weight, score) in weights.iter().zip(&scores) {
                assert!((weight[lane] / total[lane] - score[lane].exp() / sum).abs() < 1e-6);
            }
        }
    }
}

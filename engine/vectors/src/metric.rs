//! Distances between vectors of `f32`, as pgvector defines them.
//!
//! What always holds: a distance is a finite number, or it is an error. Sums that leave the range of `f32` on the way are
//! computed again in `f64`; results too large for `f32` become `f32::MAX`.

use crate::error::{Error, Result};
use crate::kernels::floats;

/// How far two vectors are from each other. Smaller is nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Euclidean distance; pgvector's `<->`.
    L2,
    /// 1 minus the cosine of the angle, 0 to 2; pgvector's `<=>`. A zero vector has no direction: where pgvector answers
    /// NaN, distances and searches answer [`Error::ZeroVector`], and a segment does not take such a vector.
    Cosine,
    /// The negative inner product; pgvector's `<#>`.
    InnerProduct,
}

/// The distance from `a` to `b`.
///
/// Fails with [`Error::Dimension`] if they differ in length, [`Error::NotFinite`] for NaN and infinite components, and
/// [`Error::ZeroVector`] for a zero vector under [`Metric::Cosine`].
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> Result<f32> {
    if a.len() != b.len() {
        return Err(Error::Dimension { expected: a.len(), found: b.len() });
    }
    let fast = match metric {
        Metric::L2 => floats::squared_l2(a, b).sqrt(),
        Metric::InnerProduct => -floats::dot(a, b),
        Metric::Cosine => {
            let squares = floats::dot(a, a) * floats::dot(b, b);
            let cosine = floats::dot(a, b) / squares.sqrt();
            // Outside of this the squares have lost digits, or all of them.
            if (1e-20..1e30).contains(&squares) { cosine_distance(cosine) } else { f32::NAN }
        }
    };
    if fast.is_finite() { Ok(fast) } else { careful(metric, a, b) }
}

/// The distances from `query` to every row of a row-major matrix, appended to `distances`.
///
/// Fails as [`distance`] does; also with [`Error::Dimension`] if the matrix is not a whole number of rows. A query
/// without components fits the empty matrix only.
pub fn distances(metric: Metric, query: &[f32], matrix: &[f32], distances: &mut Vec<f32>) -> Result<()> {
    let dim = query.len();
    if matrix.is_empty() {
        return Ok(());
    }
    if dim == 0 || !matrix.len().is_multiple_of(dim) {
        return Err(Error::Dimension { expected: dim, found: matrix.len() % dim.max(1) });
    }
    distances.reserve(matrix.len() / dim);
    for row in matrix.chunks_exact(dim) {
        distances.push(distance(metric, query, row)?);
    }
    Ok(())
}

/// Fails if a component is NaN or infinite, or if the squared length is too large for an `f32`.
pub(crate) fn check_finite(vector: &[f32]) -> Result<()> {
    if floats::dot(vector, vector).is_finite() {
        return Ok(());
    }
    Err(not_finite(vector).unwrap_or(Error::TooLong))
}

fn not_finite(vector: &[f32]) -> Option<Error> {
    let component = vector.iter().position(|value| !value.is_finite())?;
    Some(Error::NotFinite { component })
}

/// Rounding may lead past the ends.
fn cosine_distance(cosine: f32) -> f32 {
    1.0 - cosine.clamp(-1.0, 1.0)
}

/// In `f64`, where squares of `f32` neither overflow nor vanish.
fn careful(metric: Metric, a: &[f32], b: &[f32]) -> Result<f32> {
    if let Some(error) = not_finite(a).or_else(|| not_finite(b)) {
        return Err(error);
    }
    let sum = |term: fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| term(x.into(), y.into())).sum::<f64>();
    let dot = sum(|x, y| x * y);
    let distance = match metric {
        Metric::L2 => sum(|x, y| (x - y) * (x - y)).sqrt(),
        Metric::InnerProduct => -dot,
        Metric::Cosine => {
            // Two roots: the product of the squares might leave even this range.
            let lengths = sum(|x, _| x * x).sqrt() * sum(|_, y| y * y).sqrt();
            if lengths == 0.0 {
                return Err(Error::ZeroVector);
            }
            1.0 - (dot / lengths).clamp(-1.0, 1.0)
        }
    };
    Ok((distance as f32).clamp(-f32::MAX, f32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_pgvectors() {
        let (a, b) = ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]);
        assert_eq!(distance(Metric::L2, &a, &b).unwrap(), 8f32.sqrt());
        assert_eq!(distance(Metric::InnerProduct, &a, &b).unwrap(), -10.0);
        assert!((distance(Metric::Cosine, &a, &b).unwrap() - (1.0 - 10.0 / 14.0)).abs() < 1e-6);
    }

    #[test]
    fn what_has_no_distance_is_an_error() {
        let distance = |metric, a: &[f32], b: &[f32]| distance(metric, a, b);
        assert!(matches!(distance(Metric::L2, &[1.0], &[1.0, 2.0]), Err(Error::Dimension { expected: 1, found: 2 })));
        assert!(matches!(distance(Metric::L2, &[1.0, f32::NAN], &[1.0, 2.0]), Err(Error::NotFinite { component: 1 })));
        assert!(matches!(distance(Metric::InnerProduct, &[f32::INFINITY], &[0.0]), Err(Error::NotFinite { .. })));
        assert!(matches!(distance(Metric::Cosine, &[0.0, 0.0], &[1.0, 2.0]), Err(Error::ZeroVector)));
    }

    #[test]
    fn lengths_at_the_ends_of_the_range_do_not_matter() {
        for length in [1e-30f32, 1e-15, 1.0, 1e15, 1e30] {
            let angle = distance(Metric::Cosine, &[length, 0.0], &[length, length]).unwrap();
            assert!((angle - (1.0 - 0.5f32.sqrt())).abs() < 1e-6, "{length}: {angle}");
        }
        assert_eq!(distance(Metric::L2, &[3e30], &[-3e30]).unwrap(), 6e30);
        assert_eq!(distance(Metric::InnerProduct, &[1e30], &[1e30]).unwrap(), -f32::MAX);
    }

    #[test]
    fn a_matrix_is_measured_row_by_row() {
        let mut found = Vec::new();
        distances(Metric::L2, &[0.0, 0.0], &[3.0, 4.0, 0.0, 1.0], &mut found).unwrap();
        assert_eq!(found, [5.0, 1.0]);
        assert!(distances(Metric::L2, &[0.0, 0.0], &[3.0, 4.0, 0.0], &mut found).is_err());
        assert!(distances(Metric::L2, &[], &[3.0], &mut found).is_err());
    }
}

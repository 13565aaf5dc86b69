//! Where the points of a layout start: on the first two principal components of the directions.
//!
//! A start that knows the shape of the whole is what keeps far things far (Kobak and Linderman 2021); principal components
//! need no care for graphs that fall apart, as the eigenvectors of a graph do.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::ops::with_values;
use crate::random::Random;

/// A point of the plane.
pub(super) type Point = [f32; 2];

/// Rounds of the search for the components. They need not be exact.
const ROUNDS: usize = 16;
/// The side of the square that the points start in: umap-learn's.
const SIDE: f32 = 10.0;
/// How far points are moved at random before they are stretched to the square, as a part of it: umap-learn's, so that no
/// two are at one place.
const JITTER: f32 = 1e-5;
/// What is left of an axis when nothing but rounding errors is.
const NOTHING: f64 = 1e-6;

/// The start of vectors of length 1, `unit` `[n, d]`.
pub(super) fn start(unit: &Tensor, random: &mut Random) -> Result<Vec<Point>> {
    let mut points = principal_components(unit, random)?;
    let far = points.iter().flatten().fold(0f32, |far, value| far.max(value.abs())).max(f32::MIN_POSITIVE);
    points.iter_mut().flatten().for_each(|value| *value = *value / far + JITTER * random.signed());
    stretch(&mut points);
    Ok(points)
}

/// Coordinates on the first two principal components, by orthogonal iteration.
fn principal_components(unit: &Tensor, random: &mut Random) -> Result<Vec<Point>> {
    let width = unit.dim(1)?;
    let mean = unit.mean_keepdim(0)?;
    let across = unit.t()?;
    let mut axes = [0, 1].map(|_| (0..width).map(|_| f64::from(random.signed())).collect::<Vec<f64>>());
    let mut round = 0;
    loop {
        orthonormalise(&mut axes);
        let columns = to_tensor(&axes, unit.device())?;
        let along = unit.matmul(&columns)?.broadcast_sub(&mean.matmul(&columns)?)?;
        if round == ROUNDS {
            return pairs(&along);
        }
        axes = to_axes(&pairs(&across.matmul(&along)?)?);
        round += 1;
    }
}

/// An axis with no direction of its own becomes 0.
fn orthonormalise([first, second]: &mut [Vec<f64>; 2]) {
    normalise(first, 0.0);
    let before = norm(second);
    let shared: f64 = first.iter().zip(second.iter()).map(|(one, other)| one * other).sum();
    second.iter_mut().zip(first.iter()).for_each(|(value, other)| *value -= shared * other);
    normalise(second, NOTHING * before);
}

fn norm(axis: &[f64]) -> f64 {
    axis.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn normalise(axis: &mut [f64], least: f64) {
    let norm = norm(axis);
    let factor = if norm > least { norm.recip() } else { 0.0 };
    axis.iter_mut().for_each(|value| *value *= factor);
}

/// `[d, 2]`.
fn to_tensor([first, second]: &[Vec<f64>; 2], device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = first.iter().zip(second).flat_map(|(one, other)| [*one as f32, *other as f32]).collect();
    Ok(Tensor::from_vec(values, (first.len(), 2), device)?)
}

fn to_axes(rows: &[Point]) -> [Vec<f64>; 2] {
    let (first, second) = rows.iter().map(|[one, other]| (f64::from(*one), f64::from(*other))).unzip();
    [first, second]
}

/// The rows of a matrix with two columns.
fn pairs(matrix: &Tensor) -> Result<Vec<Point>> {
    with_values(matrix, |values, _| values.as_chunks().0.to_vec())
}

/// Lets the points fill the square from 0 to [`SIDE`].
fn stretch(points: &mut [Point]) {
    let low = points.iter().copied().reduce(|one, other| [one[0].min(other[0]), one[1].min(other[1])]);
    let high = points.iter().copied().reduce(|one, other| [one[0].max(other[0]), one[1].max(other[1])]);
    let (Some(low), Some(high)) = (low, high) else { return };
    for point in points {
        for ((value, low), high) in point.iter_mut().zip(low).zip(high) {
            *value = SIDE * (*value - low) / (high - low).max(f32::MIN_POSITIVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{principal_components, start};
    use crate::random::Random;

    #[test]
    fn components_are_those_of_the_largest_variance() {
        let rows: Vec<f32> = (0..64u8)
            .flat_map(|n| {
                let (wide, narrow) = (f32::from(n % 8) - 3.5, f32::from(n / 8) - 3.5);
                [7.0, 0.2 * narrow, wide, 0.01 * f32::from(n % 3)]
            })
            .collect();
        let found = principal_components(&Tensor::from_vec(rows, (64, 4), &Device::Cpu).unwrap(), &mut Random::new(1));
        for (n, [first, second]) in (0u8..).zip(found.unwrap()) {
            assert!((first.abs() - (f32::from(n % 8) - 3.5).abs()).abs() < 0.02, "{n}: {first}");
            assert!((second.abs() - 0.2 * (f32::from(n / 8) - 3.5).abs()).abs() < 0.02, "{n}: {second}");
        }
    }

    #[test]
    fn points_fill_a_square_even_where_all_vectors_are_equal() {
        for width in [1, 5] {
            let points =
                start(&Tensor::ones((40, width), candle_core::DType::F32, &Device::Cpu).unwrap(), &mut Random::new(2));
            let points = points.unwrap();
            assert!(points.iter().flatten().all(|value| (0.0..=10.0).contains(value)));
            assert!(points.iter().enumerate().all(|(n, point)| !points[..n].contains(point)), "two at one place");
        }
    }
}

//! Rows and directions as bytes with one step each, and how far they are from what they stand for.
//!
//! Lengths are computed in double precision and rounded up, so that a bound made of them holds.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::exact::Columns;

/// Directions that lie together: four of the widest registers.
pub(super) const GROUP: usize = 64;
/// Bytes of a row that one instruction adds up.
pub(super) const QUAD: usize = 4;
/// Added to the bytes of rows: the instruction multiplies unsigned by signed ones.
const LIFT: i32 = 128;
/// Largest byte.
const MOST: f32 = 127.0;
/// Independent sums.
const LANES: usize = 16;
/// Vectors without a larger component become zeros: their steps would not be normal numbers.
const SMALLEST: f32 = 1e-30;

/// An encoder's directions as bytes.
#[derive(Debug)]
pub(super) struct Codes {
    /// Bytes of a direction, with those that fill up the last quad.
    pub depth: usize,
    /// Group after group, of that quad after quad, of that direction after direction.
    bytes: Vec<i8>,
    /// What lifting the rows' bytes adds to each product, taken off; group after group, as all that follows.
    pub starts: Vec<i32>,
    pub steps: Vec<f32>,
    /// Lengths, and lengths of what rounding left, in steps.
    pub lengths: Vec<f32>,
    pub rests: Vec<f32>,
    /// The longest direction.
    pub largest: f32,
}

impl Codes {
    /// Nothing, if a weight is not a finite number.
    pub(super) fn new(columns: &Columns<'_>) -> Option<Self> {
        let (depth, groups) = (depth(columns.inputs), columns.count.div_ceil(GROUP));
        let mut codes = Self {
            depth,
            bytes: vec![0; groups * GROUP * depth],
            starts: vec![0; groups * GROUP],
            steps: vec![0.0; groups * GROUP],
            lengths: vec![0.0; groups * GROUP],
            rests: vec![0.0; groups * GROUP],
            largest: 0.0,
        };
        let numbers = codes.starts.par_chunks_mut(GROUP).zip(codes.steps.par_chunks_mut(GROUP));
        let lengths = codes.lengths.par_chunks_mut(GROUP).zip(codes.rests.par_chunks_mut(GROUP));
        codes.largest = codes
            .bytes
            .par_chunks_mut((GROUP * depth).max(1))
            .zip(numbers)
            .zip(lengths)
            .enumerate()
            .map_init(Vec::new, |directions, (group, ((bytes, (starts, steps)), (lengths, rests)))| {
                directions.resize(GROUP * columns.inputs, 0.0);
                columns.read_some(group * GROUP, directions);
                let mut largest = 0f32;
                for (lane, direction) in directions.chunks_exact(columns.inputs.max(1)).enumerate() {
                    let scale = Scale::of(direction)?;
                    for (input, value) in direction.iter().enumerate() {
                        let byte = scale.round(*value);
                        starts[lane] -= LIFT * byte as i32;
                        bytes[(input / QUAD * GROUP + lane) * QUAD + input % QUAD] = byte as i8;
                    }
                    largest = largest.max(scale.length);
                    (steps[lane], lengths[lane]) = (scale.step, up(f64::from(scale.length) / f64::from(scale.step)));
                    rests[lane] = up(f64::from(scale.rest) / f64::from(scale.step));
                }
                Some(largest)
            })
            .try_reduce(|| 0.0, |one, other| Some(one.max(other)))?;
        Some(codes)
    }

    pub(super) fn size_in_bytes(inputs: usize, count: usize) -> usize {
        count.next_multiple_of(GROUP) * (depth(inputs) + 4 * size_of::<f32>())
    }

    /// The bytes of a group.
    pub(super) fn group(&self, group: usize) -> &[i8] {
        &self.bytes[group * GROUP * self.depth..(group + 1) * GROUP * self.depth]
    }
}

/// Rows as bytes, lifted.
#[derive(Debug)]
pub(super) struct Rows {
    pub depth: usize,
    bytes: Vec<u8>,
    /// Of the rows without what is set apart.
    pub scales: Vec<Scale>,
    /// Lengths with it.
    pub lengths: Vec<f32>,
}

impl Rows {
    /// Inputs that are set `apart` become zeros.
    pub(super) fn new(input: &[f32], inputs: usize, apart: &[usize]) -> Self {
        let (depth, inputs) = (depth(inputs), inputs.max(1));
        let mut bytes = vec![LIFT as u8; input.len() / inputs * depth];
        let pairs = bytes.par_chunks_mut(depth.max(1)).zip(input.par_chunks_exact(inputs));
        let scales = pairs.map_init(Vec::new, |left: &mut Vec<f32>, (bytes, row)| {
            left.clear();
            left.extend_from_slice(row);
            let taken = apart.iter().map(|input| f64::from(std::mem::take(&mut left[*input])));
            let taken: f64 = taken.map(|value| value * value).sum();
            let scale = Scale::of(left).unwrap_or(Scale::BROKEN);
            for (byte, value) in bytes.iter_mut().zip(left.iter()) {
                *byte = (scale.round(*value) as i32 + LIFT) as u8;
            }
            (scale, up((f64::from(scale.length).powi(2) + taken).sqrt()))
        });
        let (scales, lengths) = scales.unzip();
        Self { depth, bytes, scales, lengths }
    }

    /// Length of the longest row; nothing if there is no row, or one has a component that is not finite.
    pub(super) fn largest(&self) -> Option<f32> {
        let longer = |one: f32, other: f32| if one > other { one } else { other };
        let are_finite = self.lengths.iter().all(|length| length.is_finite());
        self.lengths.iter().copied().reduce(longer).filter(|_| are_finite)
    }

    /// The bytes of a row.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.depth..(row + 1) * self.depth]
    }
}

/// How a vector becomes bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub step: f32,
    inverse: f32,
    /// The larger of the lengths before and after rounding.
    pub length: f32,
    /// Length of what rounding left.
    pub rest: f32,
}

impl Scale {
    /// That of a vector with a component that is not finite.
    const BROKEN: Self = Self { step: 1.0, inverse: 1.0, length: f32::INFINITY, rest: f32::INFINITY };

    /// Nothing, if a component is not finite or so large that the length is not.
    fn of(vector: &[f32]) -> Option<Self> {
        let largest = vector.iter().fold(0f32, |most, value| most.max(value.abs()));
        let step = if largest < SMALLEST { 1.0 } else { largest / MOST };
        let mut scale = Self { step, inverse: 1.0 / step, length: 0.0, rest: 0.0 };
        let Squares { before, after, rest } = Arch::new().dispatch(Measure { vector, scale });
        let longer = if before > after { before } else { after };
        (scale.length, scale.rest) = (up(longer.sqrt()), up(rest.sqrt()));
        (scale.length.is_finite() && scale.rest.is_finite()).then_some(scale)
    }

    /// The nearest whole number of steps, from -127 to 127. Whatever it is, the lengths tell what it leaves.
    #[inline(always)]
    fn round(&self, value: f32) -> f32 {
        // Adding 1.5·2²³ leaves no room for a fraction.
        const WHOLE: f32 = 12_582_912.0;
        ((value * self.inverse).clamp(-MOST, MOST) + WHOLE) - WHOLE
    }
}

/// Squared lengths of a vector before and after rounding, and of what rounding left.
struct Squares {
    before: f64,
    after: f64,
    rest: f64,
}

struct Measure<'a> {
    vector: &'a [f32],
    scale: Scale,
}

impl WithSimd for Measure<'_> {
    type Output = Squares;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Squares {
        let (mut before, mut after, mut rest) = ([0f64; LANES], [0f64; LANES], [0f64; LANES]);
        let mut at = 0;
        while at < self.vector.len() {
            let mut values = [0f32; LANES];
            let count = LANES.min(self.vector.len() - at);
            values[..count].copy_from_slice(&self.vector[at..at + count]);
            for lane in 0..LANES {
                let rounded = f64::from(self.scale.round(values[lane])) * f64::from(self.scale.step);
                let value = f64::from(values[lane]);
                before[lane] += value * value;
                after[lane] += rounded * rounded;
                rest[lane] += (value - rounded) * (value - rounded);
            }
            at += LANES;
        }
        Squares { before: before.iter().sum(), after: after.iter().sum(), rest: rest.iter().sum() }
    }
}

/// In single precision and not less.
pub(super) fn up(value: f64) -> f32 {
    (value * (1.0 + 1e-6)) as f32 + f32::MIN_POSITIVE
}

fn depth(inputs: usize) -> usize {
    inputs.next_multiple_of(QUAD)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::exact::with_columns;
    use super::{Codes, Rows, Scale};

    #[test]
    fn codes_take_the_bytes_that_are_counted() {
        for (inputs, count) in [(5, 3), (8, 64), (13, 130)] {
            let encoder = Tensor::randn(0f32, 1.0, (inputs, count), &Device::Cpu).unwrap();
            let codes = with_columns(&encoder, Codes::new).unwrap().unwrap();
            let numbers = codes.starts.len() + codes.steps.len() + codes.lengths.len() + codes.rests.len();
            assert_eq!(codes.bytes.len() + 4 * numbers, Codes::size_in_bytes(inputs, count));
        }
    }

    #[test]
    fn rounding_leaves_at_most_half_a_step() {
        let vector: Vec<f32> = (0..77).map(|i| (i as f32 * 0.7).sin()).collect();
        let scale = Scale::of(&vector).unwrap();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!((scale.length - length).abs() < 0.01 * length);
        assert!(scale.rest > 0.0 && scale.rest <= 0.5001 * scale.step * 77f32.sqrt());
        assert!(Scale::of(&[0.0; 9]).unwrap().rest < 1e-30);
        assert!(Scale::of(&[1.0, f32::NAN]).is_none() && Scale::of(&[f32::NEG_INFINITY, 1.0]).is_none());
    }

    #[test]
    fn what_is_set_apart_counts_in_the_whole_length_only() {
        let rows = Rows::new(&[3.0, 100.0, 4.0, 0.0, 0.0, 0.0], 3, &[1]);
        assert!((rows.scales[0].length - 5.0).abs() < 0.1 && (rows.lengths[0] - 100.125).abs() < 0.1);
        assert_eq!((rows.row(0)[1], rows.row(1)), (128, &[128; 4][..]));
        assert!(rows.largest().is_some_and(|largest| largest == rows.lengths[0]));
        assert!(Rows::new(&[1.0, f32::NAN], 1, &[]).largest().is_none());
        assert!(Rows::new(&[], 1, &[]).largest().is_none());
    }
}

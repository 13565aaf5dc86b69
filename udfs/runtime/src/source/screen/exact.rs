//! Products in single precision of one direction with single rows, always summed in the same order.

use candle_core::{Storage, Tensor};
use pulp::{Arch, Simd, WithSimd};

use crate::lanes::fold;
use crate::{Error, ErrorKind, Result};

/// Independent sums: enough registers of them to hide how long one addition takes.
const LANES: usize = 64;

/// `Σ aᵢ·bᵢ` over the shorter of the two.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Dot<'_> {
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
                lanes[lane] += a[lane] * b[lane];
            }
            at += LANES;
        }
        for rest in at..length {
            lanes[rest - at] += a[rest] * b[rest];
        }
        fold(lanes)
    }
}

/// The columns of an encoder `[d_in, F]`, in whatever order of memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    values: &'a [f32],
    /// Length of a column, and how many there are.
    pub(super) inputs: usize,
    pub(super) count: usize,
    /// From a value to the next of its column, and to that of the next column.
    input_stride: usize,
    column_stride: usize,
}

impl Columns<'_> {
    /// One value; 0 past the last column.
    pub(super) fn value(&self, input: usize, column: usize) -> f32 {
        let at = input * self.input_stride + column * self.column_stride;
        if column < self.count { self.values.get(at).copied().unwrap_or(f32::NAN) } else { 0.0 }
    }

    /// Columns `first..` as far as `into` has room, one after the other. What is past the last one is zeros.
    pub(super) fn read_some(&self, first: usize, into: &mut [f32]) {
        into.fill(0.0);
        let inputs = self.inputs.max(1);
        let some = (into.len() / inputs).min(self.count.saturating_sub(first));
        match (self.input_stride, self.column_stride) {
            (1, stride) => {
                for (column, into) in (first..first + some).zip(into.chunks_exact_mut(inputs)) {
                    into.copy_from_slice(&self.values[column * stride..column * stride + inputs]);
                }
            }
            (stride, 1) => {
                for input in 0..self.inputs {
                    let row = &self.values[input * stride + first..input * stride + first + some];
                    for (value, into) in row.iter().zip(into.iter_mut().skip(input).step_by(inputs)) {
                        *into = *value;
                    }
                }
            }
            _ => {
                for (at, into) in into.iter_mut().enumerate().take(some * inputs) {
                    *into = self.value(at % inputs, first + at / inputs);
                }
            }
        }
    }

    /// One column.
    pub(super) fn read(&self, column: usize, into: &mut Vec<f32>) {
        into.resize(self.inputs, 0.0);
        self.read_some(column, into);
    }
}

/// Lets `read` see the columns of a matrix on the processor, without a copy.
pub(super) fn with_columns<T>(matrix: &Tensor, read: impl FnOnce(&Columns<'_>) -> T) -> Result<T> {
    let (inputs, count) = matrix.dims2()?;
    let (storage, layout) = matrix.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::new(ErrorKind::Internal, "a matrix to be screened is not on the processor"));
    };
    let all: &[f32] = storage.as_slice()?;
    let (Some(values), [input_stride, column_stride]) = (all.get(layout.start_offset()..), layout.stride()) else {
        return Err(outside());
    };
    let last = inputs.saturating_sub(1) * input_stride + count.saturating_sub(1) * column_stride;
    if inputs * count > 0 && last >= values.len() {
        return Err(outside());
    }
    Ok(read(&Columns { values, inputs, count, input_stride: *input_stride, column_stride: *column_stride }))
}

fn outside() -> Error {
    Error::new(ErrorKind::Internal, "a matrix lies outside of its storage")
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{dot, with_columns};

    #[test]
    fn products_are_those_of_f64_at_every_length() {
        for length in 0..200 {
            let a: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..length).map(|i| (i as f32 * 1.3).cos()).collect();
            let expected: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            assert!((f64::from(dot(&a, &b)) - expected).abs() < 1e-4, "{length}");
        }
    }

    #[test]
    fn products_of_a_direction_alone_and_of_its_copy_are_equal() {
        let a: Vec<f32> = (0..77).map(|i| (i as f32 * 0.7).sin()).collect();
        let room: Vec<f32> = std::iter::repeat_n(9.0, 3).chain(a.iter().copied()).collect();
        assert_eq!(dot(&a, &a).to_bits(), dot(&room[3..], &a).to_bits());
    }

    #[test]
    fn columns_are_the_same_in_every_order_of_memory() {
        let matrix = Tensor::arange(0f32, 42.0, &Device::Cpu).unwrap().reshape((6, 7)).unwrap();
        let turned = matrix.t().unwrap().contiguous().unwrap().t().unwrap();
        // Every second column of a matrix twice as wide.
        let zeros = matrix.zeros_like().unwrap();
        let part = Tensor::stack(&[&matrix, &zeros], 2).unwrap().narrow(2, 0, 1).unwrap().squeeze(2).unwrap();
        assert_eq!(part.stride(), [14, 2]);
        for matrix in [&matrix, &turned, &part] {
            let mut column = Vec::new();
            with_columns(matrix, |columns| columns.read(4, &mut column)).unwrap();
            assert_eq!(column, [4.0, 11.0, 18.0, 25.0, 32.0, 39.0]);
            let mut past = vec![1.0; 12];
            with_columns(matrix, |columns| columns.read_some(6, &mut past)).unwrap();
            assert_eq!(past, [6.0, 13.0, 20.0, 27.0, 34.0, 41.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        }
    }
}

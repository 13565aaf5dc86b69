//! Which features can be among the strongest, told in 8-bit arithmetic with an error bound.
//!
//! A prompt makes a few of a source's thousands of features fire strongly, and only those are asked for. So the product
//! with the encoder is first taken in bytes, which is several times as fast, and every pre-activation is given bounds
//! that hold for certain. Features that cannot be among those asked for are left out; the others are computed from the
//! weights themselves.
//!
//! With `x̂`, `ŵ` for what the bytes stand for: `|x·w − x̂·ŵ| ≤ ‖x − x̂‖‖w‖ + ‖x̂‖‖w − ŵ‖`, by Cauchy and Schwarz.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix, QuantParams};
use rten_tensor::NdTensorView;

use super::config::Config;
use crate::{Error, ErrorKind, Result};

/// Features of one block: its products stay in the cache while bounds are made of them.
const BLOCK: usize = 2048;
/// Rows after which a screen, which costs about as much to make as it takes to encode as many, is made.
const ROWS_BEFORE: usize = 256;
/// Features of the smallest source that is screened.
const LEAST_FEATURES: usize = 1024;
/// The byte that stands for zero.
const ZERO: u8 = 128;
/// Largest byte of an activation.
const MOST: f32 = 127.0;
/// Largest byte of a weight where the processor's 16-bit sums would overflow otherwise.
const MOST_WITHOUT_OVERFLOW: f32 = 63.0;

/// An encoder in bytes.
pub(super) struct Screen {
    d_in: usize,
    blocks: Vec<Block>,
}

/// Some neighbouring features.
struct Block {
    first: usize,
    bytes: PackedBMatrix<i8>,
    /// What a byte of each feature counts.
    scale: Vec<f32>,
    /// Length of each feature's direction.
    norm: Vec<f32>,
    /// Distance from each direction to what its bytes stand for.
    error: Vec<f32>,
}

/// Bounds of something of each feature, at its largest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Maxima {
    pub(crate) least: Vec<f32>,
    pub(crate) most: Vec<f32>,
}

/// The screen of a source, which is made when the source has been asked for long enough to make up for it.
#[derive(Debug, Default)]
pub(super) struct Screening {
    /// Rows that were asked for so far.
    rows: AtomicUsize,
    screen: OnceLock<Option<Screen>>,
}

impl Screening {
    /// Whether a source is large enough.
    pub(super) fn pays(config: &Config) -> bool {
        config.d_sae >= LEAST_FEATURES
    }

    /// Bytes of memory that the screen takes.
    pub(super) fn size_in_bytes(config: &Config) -> usize {
        config.d_sae * (config.d_in + 3 * size_of::<f32>())
    }

    /// The screen for a question about `rows` rows; `None` if it is not there yet, or the weights are no numbers.
    pub(super) fn screen(&self, encoder: &Tensor, rows: usize) -> Result<Option<&Screen>> {
        let asked = self.rows.fetch_add(rows, Ordering::Relaxed);
        if asked < ROWS_BEFORE {
            return Ok(None);
        }
        if let Some(screen) = self.screen.get() {
            return Ok(screen.as_ref());
        }
        let screen = Screen::new(encoder)?;
        Ok(self.screen.get_or_init(|| screen).as_ref())
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("d_in", &self.d_in).field("blocks", &self.blocks.len()).finish()
    }
}

impl Screen {
    /// Of an encoder `[d_in, F]` in memory; `None` if a weight is no number.
    pub(super) fn new(encoder: &Tensor) -> Result<Option<Self>> {
        let (d_in, width) = encoder.dims2()?;
        let rows = encoder.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
        let executor = GemmExecutor::<u8, i8, i32>::new();
        let most = if executor.may_saturate() { MOST_WITHOUT_OVERFLOW } else { MOST };
        let firsts: Vec<usize> = (0..width).step_by(BLOCK).collect();
        let block = |first: &usize| {
            let columns = *first..(first + BLOCK).min(width);
            Block::new(&rows, width, columns, most)
        };
        let blocks: Vec<Block> = firsts.par_iter().map(block).collect();
        let is_sound = blocks.iter().all(|block| block.norm.iter().chain(&block.error).all(|value| value.is_finite()));
        Ok(is_sound.then_some(Self { d_in, blocks }))
    }

    /// Bounds of the largest product of each feature with the rows `rows` of `x` `[N, d_in]`; `None` if a value of them
    /// is no number.
    pub(super) fn maxima(&self, x: &Tensor, rows: Range<usize>) -> Result<Option<Maxima>> {
        let values = x.narrow(0, rows.start, rows.len())?.flatten_all()?.to_vec1::<f32>()?;
        let Some(input) = Input::new(&values, self.d_in) else { return Ok(None) };
        let bounds: Vec<Result<Maxima>> = self.blocks.par_iter().map(|block| block.maxima(&input)).collect();
        let mut all = Maxima { least: Vec::new(), most: Vec::new() };
        for bounds in bounds {
            let bounds = bounds?;
            all.least.extend(bounds.least);
            all.most.extend(bounds.most);
        }
        Ok(Some(all))
    }
}

/// Activations in bytes.
struct Input {
    bytes: Vec<u8>,
    rows: usize,
    d_in: usize,
    zeros: Vec<u8>,
    rows_of: Vec<Row>,
}

/// What is known of a row.
struct Row {
    /// What a byte counts.
    scale: f32,
    /// Length of what the bytes stand for.
    norm: f32,
    /// Distance from the row to that, with what single precision may lose in the exact product.
    error: f32,
}

impl Input {
    fn new(values: &[f32], d_in: usize) -> Option<Self> {
        let mut bytes = Vec::with_capacity(values.len());
        let mut rows_of = Vec::with_capacity(values.len() / d_in.max(1));
        for row in values.chunks_exact(d_in.max(1)) {
            let largest = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            if !row.iter().all(|value| value.is_finite()) {
                return None;
            }
            let scale = if largest > 0.0 { largest / MOST } else { 1.0 };
            let (mut norm, mut error, mut length) = (0.0f64, 0.0f64, 0.0f64);
            for value in row {
                let rounded = (value / scale).round().clamp(-MOST, MOST);
                bytes.push((rounded as i16 + i16::from(ZERO)) as u8);
                let stands_for = f64::from(rounded) * f64::from(scale);
                norm += stands_for * stands_for;
                error += (f64::from(*value) - stands_for).powi(2);
                length += f64::from(*value).powi(2);
            }
            let lost = d_in as f64 * f64::from(f32::EPSILON) * length.sqrt();
            let error = error.sqrt() + lost;
            rows_of.push(Row { scale, norm: upwards(norm.sqrt()), error: upwards(error) });
        }
        let rows = rows_of.len();
        Some(Self { bytes, rows, d_in, zeros: vec![ZERO; rows], rows_of })
    }
}

impl Block {
    /// The features `columns` of the matrix `rows` of `width` columns.
    fn new(rows: &[f32], width: usize, columns: Range<usize>, most: f32) -> Self {
        let count = columns.len();
        let each_row = || rows.chunks_exact(width.max(1)).filter_map(|row| row.get(columns.clone()));
        let mut largest = vec![0.0f32; count];
        each_row().for_each(|row| largest.iter_mut().zip(row).for_each(|(most, value)| *most = most.max(value.abs())));
        let scale: Vec<f32> = largest.iter().map(|largest| if *largest > 0.0 { largest / most } else { 1.0 }).collect();
        let (mut squares, mut errors) = (vec![0.0f64; count], vec![0.0f64; count]);
        let mut bytes: Vec<i8> = Vec::with_capacity(rows.len() / width.max(1) * count);
        for row in each_row() {
            let columns = row.iter().zip(&scale).zip(squares.iter_mut().zip(&mut errors));
            for ((value, scale), (square, error)) in columns {
                let rounded = (value / scale).round().clamp(-most, most);
                bytes.push(rounded as i8);
                *square += f64::from(*value).powi(2);
                *error += (f64::from(*value) - f64::from(rounded) * f64::from(*scale)).powi(2);
            }
        }
        let d_in = bytes.len() / count.max(1);
        let matrix = NdTensorView::from_data([d_in, count], bytes.as_slice());
        let bytes = GemmExecutor::<u8, i8, i32>::new().prepack_b(matrix);
        let roots = |sums: Vec<f64>| sums.into_iter().map(|sum| upwards(sum.sqrt())).collect();
        Self { first: columns.start, bytes, scale, norm: roots(squares), error: roots(errors) }
    }

    fn maxima(&self, input: &Input) -> Result<Maxima> {
        let count = self.scale.len();
        let mut products = vec![0i32; input.rows * count];
        let matrix = NdTensorView::from_data([input.rows, input.d_in], input.bytes.as_slice());
        let options = GemmOptions { a_quant: Some(QuantParams { zero_point: &input.zeros }), ..GemmOptions::default() };
        let executor = GemmExecutor::<u8, i8, i32>::new();
        executor
            .gemm(&mut products, GemmInputA::Unpacked(matrix), GemmInputB::Packed(&self.bytes), options)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("features from {}: {error}", self.first)))?;
        let mut found = Maxima { least: vec![f32::NEG_INFINITY; count], most: vec![f32::NEG_INFINITY; count] };
        for (row, products) in input.rows_of.iter().zip(products.chunks_exact(count.max(1))) {
            self.raise(row, products, &mut found);
        }
        Ok(found)
    }

    /// Takes a row's products in.
    fn raise(&self, row: &Row, products: &[i32], found: &mut Maxima) {
        let columns = products.iter().zip(&self.scale).zip(self.norm.iter().zip(&self.error));
        let bounds = found.least.iter_mut().zip(&mut found.most);
        for (((product, scale), (norm, error)), (least, most)) in columns.zip(bounds) {
            let value = *product as f32 * (row.scale * scale);
            let off = row.error * norm + row.norm * error + value.abs() * (4.0 * f32::EPSILON);
            *least = least.max(value - off);
            *most = most.max(value + off);
        }
    }
}

/// The next single-precision number above.
fn upwards(value: f64) -> f32 {
    (value as f32).next_up()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::Screen;

    /// Numbers that look random, some of them larger.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|i| if i % 97 == 0 { next() * 4.0 } else { next() }).collect()
    }

    #[test]
    fn the_largest_product_lies_within_its_bounds() {
        let (rows, d_in, width) = (7, 96, 2500);
        let x = Tensor::from_vec(numbers(rows * d_in, 1), (rows, d_in), &Device::Cpu).unwrap();
        let encoder = Tensor::from_vec(numbers(d_in * width, 2), (d_in, width), &Device::Cpu).unwrap();
        let screen = Screen::new(&encoder).unwrap().unwrap();
        let bounds = screen.maxima(&x, 2..rows).unwrap().unwrap();
        let exact = x.narrow(0, 2, rows - 2).unwrap().matmul(&encoder).unwrap().max(0).unwrap();
        let exact = exact.to_vec1::<f32>().unwrap();
        assert_eq!(bounds.least.len(), width);
        for ((exact, least), most) in exact.iter().zip(&bounds.least).zip(&bounds.most) {
            assert!(least <= exact && exact <= most, "{least} <= {exact} <= {most}");
        }
        let mut least = bounds.least.clone();
        least.sort_by(|one, other| other.total_cmp(one));
        let left = bounds.most.iter().filter(|most| **most >= least[9]).count();
        assert!(left < width / 4, "{left} features can be among the first ten");
    }

    #[test]
    fn what_is_no_number_is_not_screened() {
        let mut values = numbers(96 * 8, 3);
        let x = Tensor::from_vec(numbers(96, 4), (1, 96), &Device::Cpu).unwrap();
        let sound = Tensor::from_slice(&values, (96, 8), &Device::Cpu).unwrap();
        let screen = Screen::new(&sound).unwrap().unwrap();
        assert!(screen.maxima(&x, 0..1).unwrap().is_some());
        assert!(screen.maxima(&(x / 0.0).unwrap(), 0..1).unwrap().is_none());
        values[5] = f32::NAN;
        let broken = Tensor::from_slice(&values, (96, 8), &Device::Cpu).unwrap();
        assert!(Screen::new(&broken).unwrap().is_none());
    }
}

//! Attention over packed sequences, where each position sees all of its own sequence.
//!
//! On the processor, sequences are shared out to the cores, and one takes its heads one after another: texts are short, so
//! that a product of a general library would cost more in being called than in multiplying. Elsewhere sequences are put
//! into a grid as long as the longest of them, for a few large products.

// As in `tile`: iterators over several slices would not always be inlined.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::tile::{LANES, Lanes, exponentials, product};
use crate::Result;
use crate::model::{is_plain, plain_slice};

/// What `heads` heads read, `[N, d]`, of queries, keys and values side by side, `[N, 3 · d]`. `sequences` are rows that
/// follow one another and are all of them.
pub(super) fn attend(qkv: &Tensor, sequences: &[Range<usize>], heads: usize) -> Result<Tensor> {
    if is_plain(qkv) {
        return Ok(qkv.apply_op1_no_bwd(&Heads { sequences, heads })?);
    }
    attend_in_grid(qkv, sequences, heads)
}

struct Heads<'a> {
    sequences: &'a [Range<usize>],
    heads: usize,
}

impl CustomOp1 for Heads<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, fused) = layout.shape().dims2()?;
        let width = fused / 3;
        let mut read = vec![0.0; rows * width];
        let (mut values, mut rest) = (plain_slice(storage, layout)?, read.as_mut_slice());
        let mut parts = Vec::with_capacity(self.sequences.len());
        for sequence in self.sequences {
            let split = values.split_at_checked(sequence.len() * fused);
            let own = std::mem::take(&mut rest).split_at_mut_checked(sequence.len() * width);
            let (Some((input, values_left)), Some((output, rest_left))) = (split, own) else {
                candle_core::bail!("the sequences have more rows than there are")
            };
            (values, rest) = (values_left, rest_left);
            parts.push((input, output));
        }
        parts.into_par_iter().for_each_init(Panels::default, |panels, (input, output)| {
            pulp::Arch::new().dispatch(Sequence { panels, input, output, width, heads: self.heads });
        });
        Ok((CpuStorage::F32(read), (rows, width).into()))
    }
}

/// What all heads read of one sequence: `output` `[T, width]` of `input` `[T, 3 · width]`.
struct Sequence<'a> {
    panels: &'a mut Panels,
    input: &'a [f32],
    output: &'a mut [f32],
    width: usize,
    heads: usize,
}

impl WithSimd for Sequence<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { panels, input, output, width, heads } = self;
        let d_head = width / heads.max(1);
        let scale = 1.0 / (d_head as f32).sqrt();
        for head in 0..heads {
            let column = head * d_head;
            side_by_side(&mut panels.queries, input, 3 * width, column, d_head, scale);
            side_by_side(&mut panels.keys, input, 3 * width, width + column, d_head, 1.0);
            one_below_another(&mut panels.values, input, 3 * width, 2 * width + column, d_head);
            panels.head(output, width, column, d_head);
        }
    }
}

/// Room for one head of one sequence.
#[derive(Default)]
struct Panels {
    /// Eight queries to a panel, an entry for each value of a head.
    queries: Vec<Lanes>,
    /// As the queries.
    keys: Vec<Lanes>,
    /// Eight values of a head to a panel, an entry for each position.
    values: Vec<Lanes>,
    /// Of eight queries: an entry for each position.
    weights: Vec<Lanes>,
}

impl Panels {
    #[inline(always)]
    fn head(&mut self, output: &mut [f32], width: usize, column: usize, d_head: usize) {
        let length = (output.len() / width).max(1);
        for (queries, rows) in self.queries.chunks_exact(d_head).zip(output.chunks_mut(LANES * width)) {
            self.weights.clear();
            for keys in self.keys.chunks_exact(d_head) {
                let seen = length - self.weights.len();
                self.weights.extend_from_slice(&product(keys, queries)[..seen.min(LANES)]);
            }
            let total = exponentials(&mut self.weights);
            for (panel, values) in self.values.chunks_exact(length).enumerate() {
                let read = product(&self.weights, values);
                let (start, end) = (panel * LANES, d_head.min((panel + 1) * LANES));
                for (query, row) in rows.chunks_exact_mut(width).enumerate() {
                    let out = &mut row[column + start..column + end];
                    for value in 0..out.len() {
                        out[value] = read[query][value] / total[query];
                    }
                }
            }
        }
    }
}

/// Panels of the rows of `matrix`, eight to a panel; of each row the `count` values from `column` on, times `scale`.
#[inline(always)]
fn side_by_side(panels: &mut Vec<Lanes>, matrix: &[f32], width: usize, column: usize, count: usize, scale: f32) {
    panels.clear();
    for rows in matrix.chunks(LANES * width) {
        let start = panels.len();
        panels.resize(start + count, [0.0; LANES]);
        let entries = &mut panels[start..start + count];
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            let row = &row[column..column + count];
            for entry in 0..count {
                entries[entry][lane] = row[entry] * scale;
            }
        }
    }
}

/// Panels of the columns of `matrix` from `column` on, eight to a panel, `count` in all.
#[inline(always)]
fn one_below_another(panels: &mut Vec<Lanes>, matrix: &[f32], width: usize, column: usize, count: usize) {
    panels.clear();
    for start in (0..count).step_by(LANES) {
        let taken = LANES.min(count - start);
        for row in matrix.chunks_exact(width) {
            let mut lanes = [0.0; LANES];
            lanes[..taken].copy_from_slice(&row[column + start..column + start + taken]);
            panels.push(lanes);
        }
    }
}

/// Where rows are in a grid of one line for each sequence, and back.
struct Grid {
    /// The row that each place shows. Places behind a sequence's end show its first row, and are hidden.
    rows: Vec<u32>,
    /// What is added to the scores of each place: nothing, or minus infinity.
    hidden: Vec<f32>,
    /// The place of each row.
    places: Vec<u32>,
    longest: usize,
}

impl Grid {
    fn new(sequences: &[Range<usize>]) -> Self {
        let longest = sequences.iter().map(ExactSizeIterator::len).max().unwrap_or_default();
        let mut grid = Self { rows: Vec::new(), hidden: Vec::new(), places: Vec::new(), longest };
        for sequence in sequences {
            for position in 0..longest {
                let is_inside = position < sequence.len();
                if is_inside {
                    grid.places.push(grid.rows.len() as u32);
                }
                grid.hidden.push(if is_inside { 0.0 } else { f32::NEG_INFINITY });
                grid.rows.push((if is_inside { sequence.start + position } else { sequence.start }) as u32);
            }
        }
        grid
    }
}

/// [`attend`] by the device's own operations.
fn attend_in_grid(qkv: &Tensor, sequences: &[Range<usize>], heads: usize) -> Result<Tensor> {
    let width = qkv.dim(1)? / 3;
    let (d_head, count, grid, device) = (width / heads, sequences.len(), Grid::new(sequences), qkv.device());
    let rows = qkv.index_select(&Tensor::new(grid.rows, device)?, 0)?;
    let parts = rows.reshape((count, grid.longest, 3, heads, d_head))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    let (query, key, value) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let scores = query.matmul(&key.transpose(2, 3)?)?.affine(1.0 / (d_head as f64).sqrt(), 0.0)?;
    let hidden = Tensor::from_vec(grid.hidden, (count, 1, 1, grid.longest), device)?.to_dtype(DType::F32)?;
    let scores = scores.broadcast_add(&hidden)?;
    let weights = scores.broadcast_sub(&scores.max_keepdim(3)?)?.exp()?;
    let weights = weights.broadcast_div(&weights.sum_keepdim(3)?)?;
    let read = weights.matmul(&value)?.transpose(1, 2)?.reshape((count * grid.longest, width))?;
    Ok(read.index_select(&Tensor::new(grid.places, device)?, 0)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{attend, attend_in_grid};

    #[test]
    fn both_ways_of_attention_read_the_same() {
        for (heads, d_head, lengths) in
            [(3, 8, vec![1, 2, 9, 8, 16, 7]), (2, 5, vec![17]), (1, 1, vec![1, 1]), (2, 12, vec![3, 70])]
        {
            let width = heads * d_head;
            let mut sequences = Vec::new();
            for length in &lengths {
                let start = sequences.last().map_or(0, |last: &std::ops::Range<usize>| last.end);
                sequences.push(start..start + length);
            }
            let rows = lengths.iter().sum::<usize>();
            let qkv = Tensor::randn(0f32, 1.5, (rows, 3 * width), &Device::Cpu).unwrap();
            let expected = attend_in_grid(&qkv, &sequences, heads).unwrap().to_vec2::<f32>().unwrap();
            let found = attend(&qkv, &sequences, heads).unwrap().to_vec2::<f32>().unwrap();
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 1e-5, "{heads} heads of {d_head}: {found} and {expected}");
            }
        }
    }

    #[test]
    fn sequences_beyond_the_rows_are_refused() {
        let qkv = Tensor::zeros((3, 6), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(attend(&qkv, &[0..2, 2..4], 1).is_err());
    }
}

//! Attention of one new token over a sequence's cache, on the processor: scores, softmax and sum in one go, straight from the
//! buffers.

use candle_core::{Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::activation::plain_slice;
use super::cache::Buffers;
use super::softmax::Mask;
use crate::{Error, ErrorKind, Result};

/// Values of keys below which one core reads all heads.
const FEW: usize = 32 * 1024;

/// Values that are summed side by side.
const LANES: usize = 16;

/// How a token's heads read the cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// How scores become weights; the tokens before are the cache's.
    pub(super) mask: Mask,
}

impl Reader {
    /// What the heads of `query` `[H, 1, dh]` read of the first `tokens` tokens in the buffers: `[1, H · dh]`.
    pub(super) fn read(&self, query: &Tensor, buffers: &Buffers, tokens: usize) -> Result<Tensor> {
        let (heads, _, width) = query.dims3()?;
        let (key_heads, capacity, _) = buffers.keys.dims3()?;
        let query: Vec<f32> = query.flatten_all()?.to_vec1()?;
        let (keys, key_layout) = buffers.keys.storage_and_layout();
        let (values, value_layout) = buffers.values.storage_and_layout();
        let (Storage::Cpu(keys), Storage::Cpu(values)) = (&*keys, &*values) else { return Err(elsewhere()) };
        let (keys, values) = (plain_slice(keys, key_layout)?, plain_slice(values, value_layout)?);
        let shared = heads / key_heads.max(1);
        let head = |number: usize, read: &mut [f32]| {
            let own = |all: &'_ [f32]| -> std::ops::Range<usize> {
                let start = number / shared.max(1) * capacity * width;
                start..(start + tokens * width).min(all.len())
            };
            let query = query.get(number * width..(number + 1) * width).unwrap_or_default();
            let keys = keys.get(own(keys)).unwrap_or_default();
            let values = values.get(own(values)).unwrap_or_default();
            pulp::Arch::new().dispatch(Head { mask: self.mask, query, keys, values, read });
        };
        let mut read = vec![0.0f32; heads * width];
        if key_heads * tokens * width < FEW {
            read.chunks_exact_mut(width).enumerate().for_each(|(number, read)| head(number, read));
        } else {
            read.par_chunks_exact_mut(width).enumerate().for_each(|(number, read)| head(number, read));
        }
        Ok(Tensor::from_vec(read, (1, heads * width), &candle_core::Device::Cpu)?)
    }
}

fn elsewhere() -> Error {
    Error::new(ErrorKind::Internal, "a cache on the processor has no values there")
}

/// One head's work.
struct Head<'a> {
    mask: Mask,
    /// `[dh]`.
    query: &'a [f32],
    /// `[tokens, dh]`.
    keys: &'a [f32],
    values: &'a [f32],
    read: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.query.len().max(1);
        let tokens = self.keys.len().min(self.values.len()) / width;
        let mut scores = vec![0.0f32; tokens];
        for token in 0..tokens {
            scores[token] = dot(self.query, &self.keys[token * width..(token + 1) * width]);
        }
        self.mask.row(0, &mut scores);
        for token in 0..tokens {
            let value = &self.values[token * width..(token + 1) * width];
            for place in 0..width.min(self.read.len()) {
                self.read[place] = scores[token].mul_add(value[place], self.read[place]);
            }
        }
    }
}

/// Loops go by index: what iterators are made of is not always inlined here, and then costs more than the products.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((ones, one), (others, other)) = (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
    for chunk in 0..ones.len().min(others.len()) {
        for lane in 0..LANES {
            lanes[lane] = ones[chunk][lane].mul_add(others[chunk][lane], lanes[lane]);
        }
    }
    for place in 0..one.len().min(other.len()) {
        lanes[place] += one[place] * other[place];
    }
    let mut sum = 0.0;
    for lane in 0..LANES {
        sum += lanes[lane];
    }
    sum
}

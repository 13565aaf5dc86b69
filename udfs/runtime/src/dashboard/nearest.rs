//! The features whose decoder directions are nearest, for many features at once.

use std::ops::Range;

use candle_core::{D, DType, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::ops::{top_k, with_values};
use crate::source::Source;

/// Least norm that is divided by.
const LEAST_NORM: f64 = 1e-8;

/// The decoder directions of a source, brought to length 1.
#[derive(Debug)]
pub struct Directions {
    /// `[F, d_out]`.
    unit: Tensor,
}

impl Directions {
    /// Those of `source`; none for neurons, whose directions are all at right angles.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn new(source: &Source) -> Result<Option<Self>> {
        let Ok(decoder) = source.decoder() else { return Ok(None) };
        let decoder = decoder.to_dtype(DType::F32)?;
        let norms = decoder.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(LEAST_NORM)?;
        Ok(Some(Self { unit: decoder.broadcast_div(&norms)? }))
    }

    /// For each of some `features`, the `k` others with the largest cosines, nearest first.
    ///
    /// # Errors
    /// If there are no such features.
    pub fn nearest(&self, features: Range<usize>, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        let some = self.unit.narrow(0, features.start, features.len())?;
        let cosines = some.matmul(&self.unit.t()?)?;
        with_values(&cosines, |values, width| {
            let rows = values.par_chunks_exact(width.max(1)).zip(features.start as u32..features.end as u32);
            rows.map(|(row, own)| top_k(row, k, |index, _| index != own)).collect()
        })
    }
}

//! The vectors whose directions are nearest, for many vectors at once: decoder directions of features, or any others.

use std::ops::Range;

use candle_core::{D, DType, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::ops::{top_k, with_values};
use crate::source::Source;

/// Least norm that is divided by. A shorter vector has no direction to speak of.
pub(crate) const LEAST_NORM: f64 = 1e-8;

/// Vectors brought to length 1.
#[derive(Debug)]
pub struct Directions {
    /// `[n, d]`, of f32.
    unit: Tensor,
}

impl Directions {
    /// The decoder directions of `source`; none for neurons, whose directions are all at right angles.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn new(source: &Source) -> Result<Option<Self>> {
        let Ok(decoder) = source.decoder() else { return Ok(None) };
        Self::of(&decoder).map(Some)
    }

    /// Those of `vectors` `[n, d]`.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn of(vectors: &Tensor) -> Result<Self> {
        let vectors = vectors.to_dtype(DType::F32)?;
        let norms = vectors.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(LEAST_NORM)?;
        Ok(Self { unit: vectors.broadcast_div(&norms)? })
    }

    /// The vectors of length 1: `[n, d]`, of f32.
    pub(crate) fn unit(&self) -> &Tensor {
        &self.unit
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.unit.dim(0).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each of some of the vectors, `rows`, the `k` others with the largest cosines, nearest first.
    ///
    /// # Errors
    /// If there are no such vectors.
    pub fn nearest(&self, rows: Range<usize>, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        let cosines = self.cosines(rows.clone(), self)?;
        with_values(&cosines, |values, width| {
            let cosines = values.par_chunks_exact(width.max(1)).zip(rows.start as u32..rows.end as u32);
            cosines.map(|(row, own)| top_k(row, k, |index, _| index != own)).collect()
        })
    }

    /// For each of some of the vectors, `rows`, the `k` of `others` with the largest cosines, nearest first.
    ///
    /// # Errors
    /// If there are no such vectors, or the others are not as wide.
    pub fn nearest_in(&self, rows: Range<usize>, others: &Self, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        let cosines = self.cosines(rows, others)?;
        with_values(&cosines, |values, width| {
            values.par_chunks_exact(width.max(1)).map(|row| top_k(row, k, |_, _| true)).collect()
        })
    }

    /// `[rows, others]`
    fn cosines(&self, rows: Range<usize>, others: &Self) -> Result<Tensor> {
        Ok(self.unit.narrow(0, rows.start, rows.len())?.matmul(&others.unit.t()?)?)
    }
}

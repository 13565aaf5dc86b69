//! Coded vectors of a segment, and distances between them.
//!
//! A *coarse* distance comes from high bytes and orders like the real one, with an error; it is no distance that a caller
//! knows: squared for L2, halved squares for cosine. A *fine* distance comes from both planes and is what callers get.
//! A *node* is the position of a vector in the segment.

use bytemuck::{Pod, Zeroable};

use crate::encoder::Encoded;
use crate::kernels::bytes::{Simd, prefetch};
use crate::kernels::floats;
use crate::metric::Metric;

/// What distances need to know of a vector beside its code.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Term {
    /// What one unit of the high bytes is worth.
    pub(crate) scale: f32,
    /// The vector's share of its coarse distances.
    pub(crate) bias: f32,
}

/// The codes of all nodes; `high` and `low` are row-major with `stride` bytes a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'a> {
    pub(crate) metric: Metric,
    pub(crate) dim: usize,
    pub(crate) stride: usize,
    pub(crate) high: &'a [i8],
    pub(crate) low: &'a [i8],
    pub(crate) terms: &'a [Term],
    pub(crate) simd: Simd,
}

/// What coarse distances are measured from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) high: &'a [i8],
    pub(crate) term: Term,
}

impl Encoded {
    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe { high: &self.high, term: self.term }
    }
}

/// Memory of [`Codes::coarse`], kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Dots(Vec<i32>);

impl<'a> Codes<'a> {
    pub(crate) fn len(&self) -> usize {
        self.terms.len()
    }

    /// A node as what distances are measured from.
    pub(crate) fn probe(&self, node: u32) -> Probe<'a> {
        let start = node as usize * self.stride;
        Probe { high: &self.high[start..start + self.stride], term: self.terms[node as usize] }
    }

    /// Coarse distances from `probe` to `nodes`, in place of what `distances` held.
    #[inline]
    pub(crate) fn coarse(&self, probe: Probe<'_>, nodes: &[u32], dots: &mut Dots, distances: &mut Vec<f32>) {
        dots.0.clear();
        self.simd.dots(probe.high, self.high, nodes, &mut dots.0);
        distances.clear();
        let weight = match self.metric {
            Metric::L2 => 2.0,
            Metric::Cosine | Metric::InnerProduct => 1.0,
        };
        let factor = weight * probe.term.scale;
        distances.extend(nodes.iter().zip(&dots.0).map(|(&node, &dot)| {
            let term = self.terms[node as usize];
            // Associated this way, a product of two scales cannot leave the range where the distance does not.
            probe.term.bias + term.bias - factor * (term.scale * dot as f32)
        }));
    }

    /// Asks the processor for what the coarse distance of a node needs.
    #[inline(always)]
    pub(crate) fn fetch(&self, node: u32) {
        let node = node as usize;
        prefetch(self.high, node * self.stride, (node + 1) * self.stride);
        prefetch(self.terms, node, node + 1);
    }

    /// The distance from `query` to `node` as callers know it.
    pub(crate) fn fine(&self, query: &Encoded, node: u32) -> f32 {
        let row = node as usize * self.stride..node as usize * self.stride + self.dim;
        let (high, low) = (&self.high[row.clone()], &self.low[row]);
        let step = self.terms[node as usize].scale / 256.0;
        match self.metric {
            Metric::L2 => floats::squared_l2_split(&query.values, high, low, step).sqrt(),
            Metric::Cosine => (floats::squared_l2_split(&query.values, high, low, step) / 2.0).min(2.0),
            Metric::InnerProduct => -(query.offset + floats::dot_split(&query.values, high, low, step)),
        }
    }
}

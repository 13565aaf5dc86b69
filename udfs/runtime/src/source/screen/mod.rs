//! Finding the features that fire most without computing them all: a product of bytes for every feature, and one of floats
//! only for those that may still be among the answers.
//!
//! A feature of an elementwise source is a function of `x·w`, which never falls as `x·w` rises, so long as its value is above 0.
//! The product of rounded `x` and `w` tells `x·w` up to a bound ([`bound`]), and the function carries both ends of that over to the
//! feature ([`Rules`]). A feature whose upper end is below what is surely among the best of its span is not looked at again; for
//! the rest the rows that may hold the maximum are computed ([`exact`]). So the answers are those of computing everything.
//!
//! What is computed of a feature does not depend on its mates, on the block, or on the number of threads.
//!
//! [`Rules`]: super::encode::Rules

mod apart;
mod bound;
mod codes;
mod exact;
mod kernel;

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;
use rayon::prelude::*;

use self::apart::Apart;
use self::bound::{Bounds, Ends};
use self::codes::{Codes, GROUP, Rows};
use self::exact::{Columns, dot, with_columns};
use self::kernel::Kernel;
use super::Source;
use super::encode::{Encoder, Rules};
use super::weights::Weights;
use crate::Result;

/// A source with fewer features is multiplied.
const LEAST_FEATURES: usize = 2048;
/// Longest rows: sums of their products fit 32 bits.
const MOST_INPUTS: usize = 1 << 16;
/// Fewer rows are multiplied: there the single products cost as much as they save, and making the codes takes as long as
/// multiplying a few hundred rows.
const LEAST_ROWS: usize = 256;
/// Features of a block, at most.
const BLOCK: usize = 2048;
/// Features that give the first floors, and of a block, at least.
const SEEDS: usize = 256;
/// Neighbouring directions that are read together: a cache line of them, where they lie side by side.
const STRIP: usize = 16;
/// Where more than one in so many products of a block has to be computed exactly, multiplying all of them is faster. Small
/// blocks may have as many as large ones.
const MOST_EXACT: usize = 32;

/// Codes of a source's encoder, made at first use.
#[derive(Debug, Default)]
pub(super) struct Screen {
    codes: OnceLock<Option<Codes>>,
}

impl Screen {
    /// Bytes that the codes of a source take once they are made; they are counted from the start, because that is when a
    /// memory budget looks.
    pub(super) fn size_in_bytes(source: &Source) -> usize {
        match (source.is_screened(), &source.weights) {
            (true, Some(_)) => Codes::size_in_bytes(source.config.d_in, source.config.d_sae),
            _ => 0,
        }
    }
}

/// Some rows of which the maximum counts.
#[derive(Debug, Clone)]
pub struct Span {
    /// Rows of the input.
    pub rows: Range<usize>,
    /// What a maximum has to reach.
    pub floor: f32,
}

/// A feature that reaches the floor of a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Number of the span.
    pub span: usize,
    /// Its index.
    pub feature: u32,
    /// The maximum over the span's rows, above 0.
    pub value: f32,
}

/// A source and an input of it, ready to be screened.
#[derive(Debug)]
pub struct Screening<'a> {
    codes: &'a Codes,
    kernel: Kernel,
    rules: Rules,
    encoder: &'a Tensor,
    width: usize,
    /// The prepared input, row after row, and the same as bytes.
    input: Vec<f32>,
    rows: Rows,
    apart: Apart,
    /// Products that were computed exactly.
    computed: AtomicUsize,
}

impl Source {
    /// Whether large batches are screened on this machine.
    fn is_screened(&self) -> bool {
        matches!(self.encoder, Encoder::Elementwise(_))
            && self.device.is_cpu()
            && self.config.d_sae >= LEAST_FEATURES
            && self.config.d_in <= MOST_INPUTS
            && Kernel::detect().is_some()
    }

    /// Screens activations `x` `[N, d_in]` for the `most` strongest features; nothing where multiplying is the better way:
    /// there is no fast kernel, the batch is small, many features are asked for, or something is not a number and has to show.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn screening(&self, x: &Tensor, most: usize) -> Result<Option<Screening<'_>>> {
        let (Some(kernel), Some(weights)) = (Kernel::detect(), &self.weights) else { return Ok(None) };
        if !self.is_screened() || x.dim(0)? < LEAST_ROWS || most > self.config.d_sae / (2 * MOST_EXACT) {
            return Ok(None);
        }
        self.screen_with(kernel, weights, &self.prepare(x)?.0)
    }

    fn screen_with<'a>(
        &'a self,
        kernel: Kernel,
        weights: &'a Weights,
        input: &Tensor,
    ) -> Result<Option<Screening<'a>>> {
        let Encoder::Elementwise(elementwise) = &self.encoder else { return Ok(None) };
        let (encoder, width) = (&weights.encoder, self.config.d_sae);
        let rules = elementwise.rules()?;
        if self.screen.codes.get().is_none() {
            let codes = with_columns(encoder, |columns| Codes::new(columns).filter(|_| rules.are_finite()))?;
            // Another thread may have been faster: its codes are the same.
            let _ = self.screen.codes.set(codes);
        }
        let Some(Some(codes)) = self.screen.codes.get() else { return Ok(None) };
        let input: Vec<f32> = input.flatten_all()?.to_vec1()?;
        let apart = apart::outstanding(&input, self.config.d_in);
        let rows = Rows::new(&input, self.config.d_in, &apart);
        if !rows.largest().is_some_and(|largest| bound::is_in_range(largest, codes.largest)) {
            return Ok(None);
        }
        let apart = with_columns(encoder, |columns| Apart::new(&apart, &input, columns, codes))?;
        Ok(Some(Screening { codes, kernel, rules, encoder, width, input, rows, apart, computed: AtomicUsize::new(0) }))
    }
}

impl Screening<'_> {
    /// All features, in blocks in order. The first ones are small: what they find raises the floors for the rest.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let width = self.width;
        let block = move |start: usize| (start < width).then(|| start..width.min(start + start.clamp(SEEDS, BLOCK)));
        std::iter::successors(block(0), move |last| block(last.end))
    }

    /// Raises each span's floor to what at least `most` features surely reach.
    pub fn raise_floors(&self, spans: &mut [Span], most: usize, allows: impl Fn(u32) -> bool + Sync) {
        let seeds = (4 * most).max(SEEDS).min(self.width).div_ceil(GROUP);
        let lower = |(group, ends): (usize, Ends)| {
            let features = self.features(group).filter(|feature| allows(*feature as u32));
            let value = |feature: usize| self.rules.value(feature, ends.lower[feature % GROUP]);
            features.map(value).collect::<Vec<f32>>()
        };
        spans.par_iter_mut().filter(|span| !span.rows.is_empty()).for_each_init(Vec::new, |products, span| {
            let ends = |group| (group, self.ends(group, &span.rows, products));
            let mut surely: Vec<f32> = (0..seeds).map(ends).flat_map(lower).collect();
            if (1..=surely.len()).contains(&most) {
                let (_, last, _) = surely.select_nth_unstable_by(most - 1, |one, other| other.total_cmp(one));
                span.floor = span.floor.max(*last);
            }
        });
    }

    /// The features of a block that reach a span's floor, features in order; nothing if there are so many to compute
    /// that multiplying is faster.
    ///
    /// # Errors
    /// `Internal` if the weights cannot be read.
    pub fn hits(
        &self,
        block: Range<usize>,
        spans: &[Span],
        allows: impl Fn(u32) -> bool + Sync,
    ) -> Result<Option<Vec<Hit>>> {
        let groups = block.start / GROUP..block.end.div_ceil(GROUP);
        let asked: usize = spans.iter().map(|span| span.rows.len()).sum();
        let (most, found) = (block.len().max(BLOCK) * asked / MOST_EXACT, AtomicUsize::new(0));
        let candidates = (0..groups.len() * spans.len()).into_par_iter().map_init(Vec::new, |products, task| {
            let (group, span) = (groups.start + task / spans.len(), task % spans.len());
            let candidates = self.candidates(group, (span, spans.get(span)?), products, &allows);
            (found.fetch_add(candidates.len(), Ordering::Relaxed) <= most).then_some(candidates)
        });
        let Some(candidates) = candidates.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let candidates = candidates.into_iter().flatten().collect();
        self.computed.fetch_add(found.into_inner(), Ordering::Relaxed);
        with_columns(self.encoder, |columns| Some(self.compute(columns, spans, candidates)))
    }

    /// Values of a feature in some rows.
    ///
    /// # Errors
    /// `Internal` if the weights cannot be read.
    pub fn values(&self, feature: u32, rows: Range<usize>) -> Result<Vec<f32>> {
        with_columns(self.encoder, |columns| {
            let mut column = Vec::new();
            columns.read(feature as usize, &mut column);
            rows.map(|row| self.value(feature, row, &column)).collect()
        })
    }

    /// Share of all products that were computed exactly so far to find hits.
    pub fn share_computed(&self) -> f64 {
        let all = self.rows.scales.len() as f64 * self.width as f64;
        self.computed.load(Ordering::Relaxed) as f64 / all.max(1.0)
    }

    fn value(&self, feature: u32, row: usize, column: &[f32]) -> f32 {
        let inputs = column.len();
        let input = self.input.get(row * inputs..(row + 1) * inputs).unwrap_or_default();
        self.rules.value(feature as usize, dot(input, column))
    }

    fn features(&self, group: usize) -> Range<usize> {
        group * GROUP..self.width.min((group + 1) * GROUP)
    }

    /// Ends of the maxima over `rows` of a group's products with its directions; `products` are those of the bytes.
    fn ends(&self, group: usize, rows: &Range<usize>, products: &mut Vec<i32>) -> Ends {
        self.kernel.products(&self.rows, rows.clone(), self.codes, group, products);
        self.bounds().ends(rows.clone(), group, products)
    }

    fn bounds(&self) -> Bounds<'_> {
        Bounds { rows: &self.rows, codes: self.codes, apart: &self.apart }
    }

    /// Rows of a span in which features of a group may reach the floor.
    fn candidates(
        &self,
        group: usize,
        (number, span): (usize, &Span),
        products: &mut Vec<i32>,
        allows: &(impl Fn(u32) -> bool + Sync),
    ) -> Vec<Candidate> {
        if span.rows.is_empty() {
            return Vec::new();
        }
        let ends = self.ends(group, &span.rows, products);
        let may_reach = |feature: usize, product: f32| {
            let value = self.rules.value(feature, product);
            value > 0.0 && value >= span.floor
        };
        let mut found = Vec::new();
        for (lane, feature) in self.features(group).enumerate() {
            if !may_reach(feature, ends.upper[lane]) || !allows(feature as u32) {
                continue;
            }
            for (row, products) in span.rows.clone().zip(products.chunks_exact(GROUP)) {
                if may_reach(feature, self.bounds().upper(row, feature, products[lane])) {
                    found.push(Candidate { span: number, feature: feature as u32, row });
                }
            }
        }
        found
    }

    /// Those of the candidates' maxima that reach the floor, features in order.
    fn compute(&self, columns: &Columns<'_>, spans: &[Span], mut candidates: Vec<Candidate>) -> Vec<Hit> {
        candidates.sort_unstable_by_key(|one| (one.feature, one.span, one.row));
        let strip = |one: &Candidate| one.feature as usize / STRIP;
        let strips: Vec<&[Candidate]> = candidates.chunk_by(|one, other| strip(one) == strip(other)).collect();
        let hits = strips.into_par_iter().map_init(Vec::new, |directions, of_strip| {
            let first = of_strip.first().map_or(0, |one| strip(one) * STRIP);
            directions.resize(STRIP * columns.inputs, 0.0);
            columns.read_some(first, directions);
            let hit = |of_pair: &[Candidate]| {
                let Candidate { feature, span, .. } = *of_pair.first()?;
                let start = (feature as usize - first) * columns.inputs;
                let direction = directions.get(start..start + columns.inputs)?;
                let value = of_pair.iter().map(|one| self.value(feature, one.row, direction)).fold(0.0, f32::max);
                let reaches = value > 0.0 && spans.get(span).is_some_and(|span| value >= span.floor);
                reaches.then_some(Hit { span, feature, value })
            };
            let pairs = of_strip.chunk_by(|one, other| (one.feature, one.span) == (other.feature, other.span));
            pairs.filter_map(hit).collect::<Vec<_>>()
        });
        hits.flatten_iter().collect()
    }
}

/// A value that has to be computed.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    span: usize,
    feature: u32,
    row: usize,
}

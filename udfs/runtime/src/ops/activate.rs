//! `activate`: which features of some sources a prompt makes fire, and where.
//!
//! Follows `/activation/all` of Neuronpedia's inference server: a feature's rank is its largest activation in the
//! prompt, or the sum over chosen positions; equals are ordered by source, then by index. The BOS position may be left
//! out: its value counts as 0.

use std::ops::Range;
use std::sync::Arc;

use super::matrix::{values, with_values};
use super::ranking::top_k;
use crate::Result;
use crate::service::{Part, Pass, Wants};
use crate::source::Source;

/// One source to look in.
#[derive(Debug, Clone)]
pub struct SourceQuery {
    /// The source.
    pub source: Arc<Source>,
    /// Features that may be answered; all, if there is none.
    pub allowed: Option<Arc<Vec<bool>>>,
}

/// What ranks a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankBy {
    /// Its largest activation.
    Max,
    /// The sum of its activations at these positions of the prompt.
    SumAt(Vec<usize>),
}

/// The operation.
#[derive(Debug)]
pub struct Activate {
    /// Where to look. Earlier sources win ties.
    pub sources: Vec<SourceQuery>,
    /// How many features to answer for each prompt, over all sources.
    pub top_k: usize,
    /// What ranks them. Positions are of each prompt.
    pub rank_by: RankBy,
    /// Whether the activation on a BOS token at the start counts as 0.
    pub ignore_bos: bool,
    /// Whether features that never fire fill up the answer.
    pub keep_silent: bool,
    /// What was found so far, one list a prompt.
    pub found: Vec<Vec<FeatureActivation>>,
}

/// A feature that fired.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureActivation {
    /// Number of the source in the question.
    pub source: usize,
    /// Feature index.
    pub index: u32,
    /// Largest activation in the prompt.
    pub max_value: f32,
    /// First position of it.
    pub max_position: usize,
    /// Sum over the positions that were asked for; 0 when ranked by the largest.
    pub sum_value: f32,
    /// Activation at each position.
    pub acts: Vec<f32>,
}

impl Activate {
    /// Looks in `sources` for the `top_k` features that fire most.
    pub fn new(sources: Vec<SourceQuery>, top_k: usize) -> Self {
        Self { sources, top_k, rank_by: RankBy::Max, ignore_bos: true, keep_silent: false, found: Vec::new() }
    }

    /// The features of one source, ranked.
    fn in_source(&self, number: usize, query: &SourceQuery, part: &Part<'_>) -> Result<Vec<(f32, FeatureActivation)>> {
        let encoded = part_features(&query.source, part)?;
        let silenced = usize::from(self.ignore_bos && starts_with_bos(part));
        let ranked = with_values(&encoded, |values, width| self.rank(values, width, silenced, query))?;
        let indices: Vec<u32> = ranked.iter().map(|(index, _)| *index).collect();
        let mut found = Vec::with_capacity(ranked.len());
        let columns = columns(&encoded, &indices)?;
        for ((index, key), mut acts) in ranked.into_iter().zip(columns) {
            acts.iter_mut().take(silenced).for_each(|act| *act = 0.0);
            let (max_position, max_value) = first_maximum(&acts);
            let sum_value = match &self.rank_by {
                RankBy::Max => 0.0,
                RankBy::SumAt(_) => key,
            };
            found.push((key, FeatureActivation { source: number, index, max_value, max_position, sum_value, acts }));
        }
        Ok(found)
    }

    /// Features with their keys, best first. The first `silenced` rows count as zeros.
    fn rank(&self, values: &[f32], width: usize, silenced: usize, query: &SourceQuery) -> Vec<(u32, f32)> {
        let mut keys = vec![if silenced > 0 { 0.0 } else { f32::NEG_INFINITY }; width];
        let rows = values.chunks_exact(width.max(1)).enumerate().skip(silenced);
        match &self.rank_by {
            RankBy::Max => rows.for_each(|(_, row)| raise(&mut keys, row)),
            RankBy::SumAt(positions) => {
                keys.fill(0.0);
                rows.filter(|(position, _)| positions.contains(position)).for_each(|(_, row)| add(&mut keys, row));
            }
        }
        let is_allowed = |index: u32| match &query.allowed {
            Some(allowed) => allowed.get(index as usize).copied().unwrap_or(false),
            None => true,
        };
        top_k(&keys, self.top_k, |index, key| (self.keep_silent || key > 0.0) && is_allowed(index))
    }
}

impl Pass for Activate {
    type Answer = Vec<Vec<FeatureActivation>>;

    fn wants(&self) -> Wants {
        Wants::points(self.sources.iter().map(|query| query.source.config().point))
    }

    fn read(&mut self, part: &Part<'_>) -> Result<()> {
        let mut all = Vec::new();
        for (number, query) in self.sources.iter().enumerate() {
            all.extend(self.in_source(number, query, part)?);
        }
        // Stable: equals stay in the order of sources and indices.
        all.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        all.truncate(self.top_k);
        self.found.push(all.into_iter().map(|(_, feature)| feature).collect());
        Ok(())
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

/// Activations of all features of `source` on a prompt: `[T, F]`.
pub(super) fn part_features(source: &Source, part: &Part<'_>) -> Result<candle_core::Tensor> {
    let activations = part.value(source.config().point)?;
    let rows: Range<usize> = 0..activations.dim(0)?;
    source.encode(&activations, &[rows])
}

/// Whether the prompt starts with the model's BOS token.
pub(super) fn starts_with_bos(part: &Part<'_>) -> bool {
    let bos = part.model().tokenizer().bos();
    bos.is_some() && part.tokens().first().copied() == bos
}

/// Position and value of the first of the largest values; (0, 0) of none.
pub(super) fn first_maximum(values: &[f32]) -> (usize, f32) {
    let mut best: Option<(usize, f32)> = None;
    for (position, value) in values.iter().copied().enumerate() {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((position, value));
        }
    }
    best.unwrap_or((0, 0.0))
}

/// The columns of a matrix `[T, F]` at `indices`.
fn columns(matrix: &candle_core::Tensor, indices: &[u32]) -> Result<Vec<Vec<f32>>> {
    if indices.is_empty() {
        return Ok(Vec::new());
    }
    if matrix.device().is_cpu() {
        return with_values(matrix, |values, width| {
            let column = |index: &u32| values.iter().skip(*index as usize).step_by(width.max(1)).copied().collect();
            indices.iter().map(column).collect()
        });
    }
    let index = candle_core::Tensor::new(indices, matrix.device())?;
    let columns = values(&matrix.index_select(&index, 1)?.t()?.contiguous()?)?;
    let rows = matrix.dim(0)?;
    Ok(columns.chunks_exact(rows.max(1)).map(<[f32]>::to_vec).collect())
}

fn raise(keys: &mut [f32], row: &[f32]) {
    for (key, value) in keys.iter_mut().zip(row) {
        *key = key.max(*value);
    }
}

fn add(keys: &mut [f32], row: &[f32]) {
    for (key, value) in keys.iter_mut().zip(row) {
        *key += *value;
    }
}

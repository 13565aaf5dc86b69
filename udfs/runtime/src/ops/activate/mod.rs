//! `activate`: which features of some sources a prompt makes fire, and where.
//!
//! Follows `/activation/all` of Neuronpedia's inference server: a feature's rank is its largest activation in the
//! prompt, or the sum over chosen positions; equals are ordered by source, then by index. The BOS position may be left
//! out: its value counts as 0.

mod screened;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::matrix::with_values;
use super::ranking::top_k;
use crate::Result;
use crate::service::{Part, Parts, Pass, Wants};
use crate::source::{Block, Source};

/// One source to look in.
#[derive(Debug, Clone)]
pub struct SourceQuery {
    /// The source.
    pub source: Arc<Source>,
    /// Features that may be answered; all, if there is none.
    pub allowed: Option<Arc<Vec<bool>>>,
}

impl SourceQuery {
    fn allows(&self, index: u32) -> bool {
        let of = |allowed: &Arc<Vec<bool>>| allowed.get(index as usize).copied().unwrap_or(false);
        self.allowed.as_ref().is_none_or(of)
    }
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

    /// Takes the strongest features of a block in.
    fn look(&self, number: usize, query: &SourceQuery, block: &Block, prompts: &mut [Prompt]) -> Result<()> {
        let reached = |prompt: &&mut Prompt| block.rows.start <= prompt.rows.start && prompt.rows.end <= block.rows.end;
        let own: Vec<&mut Prompt> = prompts.iter_mut().filter(reached).collect();
        with_values(&block.values, |values, width| {
            own.into_par_iter().for_each(|prompt| {
                let rows = prompt.rows.start - block.rows.start..prompt.rows.end - block.rows.start;
                let values = values.get(rows.start * width..rows.end * width).unwrap_or_default();
                let columns = Columns { values, width, first_feature: block.first_feature as u32 };
                for (column, key) in self.rank(&columns, prompt, query) {
                    let found = || self.feature(number, &columns, (column, key), prompt.silenced);
                    prompt.best.insert(key, found);
                }
            });
        })
    }

    /// Columns with their keys, best first, of those that can still get in. Silenced rows count as zeros.
    fn rank(&self, columns: &Columns<'_>, prompt: &Prompt, query: &SourceQuery) -> Vec<(u32, f32)> {
        let mut keys = vec![if prompt.silenced > 0 { 0.0 } else { f32::NEG_INFINITY }; columns.width];
        let rows = columns.values.chunks_exact(columns.width.max(1)).enumerate().skip(prompt.silenced);
        match &self.rank_by {
            RankBy::Max => rows.for_each(|(_, row)| raise(&mut keys, row)),
            RankBy::SumAt(positions) => {
                keys.fill(0.0);
                rows.filter(|(position, _)| positions.contains(position)).for_each(|(_, row)| add(&mut keys, row));
            }
        }
        let can_get_in = |key: f32| prompt.best.last_key().is_none_or(|last| key > last);
        top_k(&keys, self.top_k, |column, key| {
            (self.keep_silent || key > 0.0) && can_get_in(key) && query.allows(columns.index(column))
        })
    }

    fn feature(
        &self,
        source: usize,
        columns: &Columns<'_>,
        (column, key): (u32, f32),
        silenced: usize,
    ) -> FeatureActivation {
        let mut acts = columns.column(column);
        acts.iter_mut().take(silenced).for_each(|act| *act = 0.0);
        let (max_position, max_value) = first_maximum(&acts);
        let sum_value = if self.rank_by == RankBy::Max { 0.0 } else { key };
        FeatureActivation { source, index: columns.index(column), max_value, max_position, sum_value, acts }
    }
}

/// Some neighbouring features of one prompt, as columns.
struct Columns<'a> {
    /// Row after row.
    values: &'a [f32],
    width: usize,
    first_feature: u32,
}

impl Columns<'_> {
    fn index(&self, column: u32) -> u32 {
        self.first_feature.saturating_add(column)
    }

    fn column(&self, column: u32) -> Vec<f32> {
        self.values.iter().skip(column as usize).step_by(self.width.max(1)).copied().collect()
    }
}

/// A prompt of a batch, with what is found in it.
#[derive(Debug, Clone)]
struct Prompt {
    /// Its rows among those of all prompts.
    rows: Range<usize>,
    /// How many positions at the start count as zeros.
    silenced: usize,
    best: Best,
}

/// The features with the largest keys, largest first. Of equals, those that came earlier come first.
#[derive(Debug, Clone)]
struct Best {
    most: usize,
    found: Vec<(f32, FeatureActivation)>,
}

impl Best {
    /// The key that a feature has to be above to get in, once there is no place left.
    fn last_key(&self) -> Option<f32> {
        self.found.last().filter(|_| self.found.len() >= self.most).map(|(key, _)| *key)
    }

    fn insert(&mut self, key: f32, feature: impl FnOnce() -> FeatureActivation) {
        let place = self.found.partition_point(|(other, _)| other.total_cmp(&key).is_ge());
        if place < self.most {
            self.found.truncate(self.most - 1);
            self.found.insert(place, (key, feature()));
        }
    }
}

impl Pass for Activate {
    type Answer = Vec<Vec<FeatureActivation>>;

    fn wants(&self) -> Wants {
        Wants::points(self.sources.iter().map(|query| query.source.config().point))
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        let sequences = parts.sequences();
        let prompt = |(rows, part): (&Range<usize>, Part<'_>)| Prompt {
            rows: rows.clone(),
            silenced: usize::from(self.ignore_bos && starts_with_bos(&part)),
            best: Best { most: self.top_k, found: Vec::new() },
        };
        let mut prompts: Vec<Prompt> = sequences.iter().zip(parts.iter()).map(prompt).collect();
        for (number, query) in self.sources.iter().enumerate() {
            let activations = parts.value(query.source.config().point)?;
            self.look_in(number, query, &activations, &mut prompts, &|| parts.check_awaited())?;
        }
        let features = |prompt: Prompt| prompt.best.found.into_iter().map(|(_, feature)| feature).collect();
        self.found.extend(prompts.into_iter().map(features));
        Ok(())
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
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

#[cfg(test)]
mod tests;

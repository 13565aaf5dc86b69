//! The pass over the corpus: which features are active where.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::components::ComponentSums;
use crate::Result;
use crate::ops::with_values;
use crate::service::{Parts, Pass, Wants};
use crate::source::{Block, Source};

/// A position at which a feature is active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// Feature index.
    pub feature: u32,
    /// Number of the prompt.
    pub prompt: u32,
    /// Position in the prompt.
    pub position: u32,
    /// The activation, above 0.
    pub value: f32,
}

impl Firing {
    /// What firings are sorted by: no two have the same.
    pub fn key(&self) -> (u32, u32, u32) {
        (self.feature, self.prompt, self.position)
    }

    /// The token at which it is.
    pub fn place(&self) -> (u32, u32) {
        (self.prompt, self.position)
    }
}

/// Finds all firings of some sources in one pass of the model.
#[derive(Debug)]
pub struct Firings {
    sources: Vec<Arc<Source>>,
    /// Tokens at which nothing counts as active.
    masked: Arc<HashSet<u32>>,
    /// Number of the first prompt.
    first_prompt: u32,
    prompts_read: u32,
    found: Found,
}

/// What was found in each source.
#[derive(Debug, Default)]
pub struct Found {
    /// Firings of each, in no order.
    pub firings: Vec<Vec<Firing>>,
    /// Sums with what each reads; none if they were not asked for.
    pub sums: Vec<ComponentSums>,
}

impl Firings {
    /// Looks in `sources` at all tokens but the `masked` ones. Prompts are numbered from `first_prompt` on.
    pub fn new(sources: Vec<Arc<Source>>, masked: Arc<HashSet<u32>>, first_prompt: u32) -> Self {
        let firings = sources.iter().map(|_| Vec::new()).collect();
        let found = Found { firings, sums: Vec::new() };
        Self { sources, masked, first_prompt, prompts_read: 0, found }
    }

    /// Adds to `sums` of each source as well.
    pub fn with_sums(mut self, sums: Vec<ComponentSums>) -> Self {
        self.found.sums = sums;
        self
    }
}

/// A row of the batch that is looked at.
struct Row {
    row: usize,
    prompt: u32,
    position: u32,
}

impl Pass for Firings {
    type Answer = Found;

    fn wants(&self) -> Wants {
        Wants::points(self.sources.iter().map(|source| source.config().point))
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        let sequences = parts.sequences();
        let rows = self.rows(parts, &sequences);
        let first_prompt = self.first_prompt + self.prompts_read;
        for (number, (source, found)) in self.sources.iter().zip(&mut self.found.firings).enumerate() {
            let activations = parts.value(source.config().point)?;
            let known = found.len();
            source.encode_in_blocks(&activations, &sequences, |block| {
                parts.check_awaited()?;
                collect(&block, &rows, found)
            })?;
            if let Some(sums) = self.found.sums.get_mut(number) {
                let new = found.get_mut(known..).unwrap_or_default();
                new.par_sort_unstable_by_key(Firing::key);
                let row_of = |firing: &Firing| {
                    let sequence = sequences.get((firing.prompt - first_prompt) as usize);
                    sequence.map_or(usize::MAX, |rows| rows.start + firing.position as usize)
                };
                with_values(&activations, |x, _| sums.take(x, rows.iter().map(|row| row.row), new, row_of))?;
            }
        }
        self.prompts_read += sequences.len() as u32;
        Ok(())
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

impl Firings {
    /// The rows that are not masked.
    fn rows(&self, parts: &Parts<'_>, sequences: &[Range<usize>]) -> Vec<Row> {
        let first = self.first_prompt + self.prompts_read;
        let mut rows = Vec::new();
        for ((prompt, part), sequence) in (first..).zip(parts.iter()).zip(sequences) {
            let places = (0u32..).zip(sequence.clone()).zip(part.tokens());
            let seen = places.filter(|(_, token)| !self.masked.contains(token));
            rows.extend(seen.map(|((position, row), _)| Row { row, prompt, position }));
        }
        rows
    }
}

/// Appends what is active in `block`.
fn collect(block: &Block, rows: &[Row], found: &mut Vec<Firing>) -> Result<()> {
    let first_feature = block.first_feature as u32;
    let active = with_values(&block.values, |values, width| {
        let of_row = |row: &Row| -> Vec<Firing> {
            let Some(at) = row.row.checked_sub(block.rows.start).filter(|_| row.row < block.rows.end) else {
                return Vec::new();
            };
            let values = values.get(at * width..(at + 1) * width).unwrap_or_default();
            let firing = |(feature, value): (u32, &f32)| Firing {
                feature,
                prompt: row.prompt,
                position: row.position,
                value: *value,
            };
            (first_feature..).zip(values).filter(|(_, value)| **value > 0.0).map(firing).collect()
        };
        rows.par_iter().with_min_len(16).flat_map_iter(of_row).collect::<Vec<Firing>>()
    })?;
    found.extend(active);
    Ok(())
}

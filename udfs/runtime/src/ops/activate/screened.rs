//! Features of a source by screening where that is faster, and else by computing them all: the same answers.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::{Activate, FeatureActivation, Prompt, RankBy, SourceQuery, first_maximum};
use crate::Result;
use crate::source::{Screening, Span};

impl Activate {
    /// Takes the strongest features of a source in.
    pub(super) fn look_in(
        &self,
        number: usize,
        query: &SourceQuery,
        activations: &Tensor,
        prompts: &mut [Prompt],
        check: &impl Fn() -> Result<()>,
    ) -> Result<()> {
        // What ranks is the maximum, and only what fires is an answer: screening knows nothing else.
        let can_screen = self.rank_by == RankBy::Max && !self.keep_silent;
        let screening = can_screen.then(|| query.source.screening(activations, self.top_k)).transpose()?.flatten();
        let done = match screening {
            Some(screening) => self.screen(number, query, &screening, prompts, check)?,
            None => 0,
        };
        self.compute(done, number, query, activations, prompts, check)
    }

    /// Takes the strongest of a source's features from `first` on in, by computing them all.
    pub(super) fn compute(
        &self,
        first: usize,
        number: usize,
        query: &SourceQuery,
        activations: &Tensor,
        prompts: &mut [Prompt],
        check: &impl Fn() -> Result<()>,
    ) -> Result<()> {
        if first >= query.source.config().d_sae {
            return Ok(());
        }
        let sequences: Vec<Range<usize>> = prompts.iter().map(|prompt| prompt.rows.clone()).collect();
        query.source.encode_in_blocks_from(first, activations, &sequences, |block| {
            check()?;
            self.look(number, query, &block, prompts)
        })
    }

    /// Takes the strongest features of a source in, and answers with the first feature that is left to be computed.
    pub(super) fn screen(
        &self,
        number: usize,
        query: &SourceQuery,
        screening: &Screening<'_>,
        prompts: &mut [Prompt],
        check: &impl Fn() -> Result<()>,
    ) -> Result<usize> {
        let allows = |index| query.allows(index);
        let mut spans: Vec<Span> = prompts.iter().map(Prompt::span).collect();
        screening.raise_floors(&mut spans, self.top_k, allows);
        let mut done = 0;
        for block in screening.blocks() {
            check()?;
            for (span, prompt) in spans.iter_mut().zip(prompts.iter()) {
                span.floor = span.floor.max(prompt.span().floor);
            }
            let Some(hits) = screening.hits(block.clone(), &spans, allows)? else { break };
            for hit in hits {
                if let Some(prompt) = prompts.get_mut(hit.span) {
                    prompt.best.insert(hit.value, || FeatureActivation::found(number, hit.feature));
                }
            }
            done = block.end;
        }
        prompts.par_iter_mut().try_for_each(|prompt| prompt.fill_in(number, screening))?;
        Ok(done)
    }
}

impl FeatureActivation {
    /// One whose values are still to be computed.
    fn found(source: usize, index: u32) -> Self {
        Self { source, index, max_value: 0.0, max_position: 0, sum_value: 0.0, acts: Vec::new() }
    }
}

impl Prompt {
    /// The rows that count, and what a feature has to reach there.
    fn span(&self) -> Span {
        let start = self.rows.end.min(self.rows.start + self.silenced);
        Span { rows: start..self.rows.end, floor: self.best.last_key().unwrap_or(0.0) }
    }

    /// Computes the values of the features that were found in a source.
    fn fill_in(&mut self, source: usize, screening: &Screening<'_>) -> Result<()> {
        let rows = self.span().rows;
        for (_, feature) in self.best.found.iter_mut().filter(|(_, feature)| feature.source == source) {
            feature.acts = vec![0.0; self.rows.len() - rows.len()];
            feature.acts.extend(screening.values(feature.index, rows.clone())?);
            (feature.max_position, feature.max_value) = first_maximum(&feature.acts);
        }
        Ok(())
    }
}

//! `activate_by_token`: the features that fire most at each token.
//!
//! Follows `/activation/topk-by-token` of Neuronpedia's inference server: positions count from the prompt's start, and a
//! BOS token there may be left out, which takes its position out of the answer and moves no other.

use std::sync::Arc;

use rayon::prelude::*;

use super::activate::starts_with_bos;
use super::matrix::with_values;
use super::ranking::{by_value, top_k};
use crate::Result;
use crate::service::{Parts, Pass, Wants};
use crate::source::{Block, Source};

/// The operation.
#[derive(Debug)]
pub struct ActivateByToken {
    /// Where to look.
    pub source: Arc<Source>,
    /// How many features for each token.
    pub top_k: usize,
    /// Whether a BOS token at the start is left out.
    pub ignore_bos: bool,
    /// What was found so far, one list a prompt.
    pub found: Vec<Vec<TokenFeatures>>,
}

/// The features at one token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenFeatures {
    /// Position in the prompt.
    pub position: usize,
    /// Feature indices and activations, most active first; features that do not fire are not among them.
    pub features: Vec<(u32, f32)>,
}

impl ActivateByToken {
    /// Looks in `source` for the `top_k` features at each token.
    pub fn new(source: Arc<Source>, top_k: usize) -> Self {
        Self { source, top_k, ignore_bos: true, found: Vec::new() }
    }
}

impl ActivateByToken {
    /// Takes the strongest features of a block in: `best` has a list for each row, most active first.
    fn look(&self, block: &Block, best: &mut [Vec<(u32, f32)>]) -> Result<()> {
        let first_feature = block.first_feature as u32;
        let own = best.get_mut(block.rows.clone()).unwrap_or_default();
        with_values(&block.values, |values, width| {
            own.par_iter_mut().zip(values.par_chunks_exact(width.max(1))).for_each(|(best, row)| {
                let found = top_k(row, self.top_k, |_, value| value != 0.0);
                best.extend(found.into_iter().map(|(feature, value)| (first_feature + feature, value)));
                best.sort_unstable_by(|one, other| by_value(*one, *other));
                best.truncate(self.top_k);
            });
        })
    }
}

impl Pass for ActivateByToken {
    type Answer = Vec<Vec<TokenFeatures>>;

    fn wants(&self) -> Wants {
        Wants::points([self.source.config().point])
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        let sequences = parts.sequences();
        let activations = parts.value(self.source.config().point)?;
        let mut best = vec![Vec::new(); activations.dim(0)?];
        self.source.encode_in_blocks(&activations, &sequences, |block| {
            parts.check_awaited()?;
            self.look(&block, &mut best)
        })?;
        let mut best = best.into_iter();
        for (part, rows) in parts.iter().zip(&sequences) {
            let skipped = usize::from(self.ignore_bos && starts_with_bos(&part));
            let own = best.by_ref().take(rows.len()).enumerate().skip(skipped);
            self.found.push(own.map(|(position, features)| TokenFeatures { position, features }).collect());
        }
        Ok(())
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

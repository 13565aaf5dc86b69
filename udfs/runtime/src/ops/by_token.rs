//! `activate_by_token`: the features that fire most at each token.
//!
//! Follows `/activation/topk-by-token` of Neuronpedia's inference server: positions count from the prompt's start, and a
//! BOS token there may be left out, which takes its position out of the answer and moves no other.

use std::sync::Arc;

use super::activate::{part_features, starts_with_bos};
use super::matrix::with_values;
use super::ranking::top_k;
use crate::Result;
use crate::service::{Parts, Pass, Wants};
use crate::source::Source;

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

impl Pass for ActivateByToken {
    type Answer = Vec<Vec<TokenFeatures>>;

    fn wants(&self) -> Wants {
        Wants::points([self.source.config().point])
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let encoded = part_features(&self.source, part)?;
            let skipped = usize::from(self.ignore_bos && starts_with_bos(part));
            let found = with_values(&encoded, |values, width| {
                let rows = values.chunks_exact(width.max(1)).enumerate().skip(skipped);
                rows.map(|(position, row)| TokenFeatures {
                    position,
                    features: top_k(row, self.top_k, |_, value| value != 0.0),
                })
                .collect()
            })?;
            self.found.push(found);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

//! Some features' dashboards, from their firings and from the weights.

use std::ops::Range;
use std::sync::Arc;

use latentdb_engine::Result;
use latentdb_runtime::dashboard::{Directions, Firing, LogitWeights, activity, logit_weights};
use latentdb_runtime::model::Model;
use latentdb_runtime::source::Source;
use rayon::prelude::*;

use super::options::GenerateOptions;
use super::rows::Dashboard;
use super::scratch::Scratch;
use crate::failure::from_runtime;

/// Values of a block of logit weights or cosines.
const BLOCK: usize = 16 << 20;

/// Makes the dashboards of one source.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) model: Arc<Model>,
    pub(super) source: Arc<Source>,
    /// Number of the source in the run.
    pub(super) number: u32,
    pub(super) scratch: Scratch,
    pub(super) options: Arc<GenerateOptions>,
    /// Tokens of all prompts.
    pub(super) tokens: u64,
    directions: Option<Directions>,
}

impl Maker {
    pub(super) fn new(
        model: Arc<Model>,
        (number, source): (u32, Arc<Source>),
        scratch: Scratch,
        options: Arc<GenerateOptions>,
        tokens: u64,
    ) -> Result<Self> {
        let directions = if options.nearest > 0 { Directions::new(&source).map_err(from_runtime)? } else { None };
        Ok(Self { model, source, number, scratch, options, tokens, directions })
    }

    /// The features in parts that fit into memory with their firings.
    pub(super) fn parts(&self) -> Result<Vec<Range<usize>>> {
        let counts = self.scratch.counts(self.number, self.source.config().d_sae)?;
        let pace = &self.options.pace;
        let (mut parts, mut start, mut firings) = (Vec::new(), 0, 0);
        for (feature, count) in counts.iter().enumerate() {
            let is_full = firings + count > pace.firings_at_once || feature - start >= pace.features_at_once;
            if is_full && feature > start {
                parts.push(start..feature);
                (start, firings) = (feature, 0);
            }
            firings += count;
        }
        parts.push(start..counts.len());
        Ok(parts)
    }

    /// The dashboards of `features`, in order.
    pub(super) fn make(&self, features: Range<usize>) -> Result<Vec<Dashboard>> {
        let firings = self.scratch.firings(self.number, features.start as u32..features.end as u32)?;
        let own: Vec<&[Firing]> = features
            .clone()
            .map(|feature| {
                let start = firings.partition_point(|firing| (firing.feature as usize) < feature);
                let end = firings.partition_point(|firing| firing.feature as usize <= feature);
                firings.get(start..end).unwrap_or_default()
            })
            .collect();
        let activities: Vec<_> =
            own.into_par_iter().map(|own| activity(own, self.tokens, &self.options.activity)).collect();
        let norms = self.source.decoder_norms();
        let weights = self.logits(features.clone())?;
        let nearest = self.nearest(features.clone())?;
        let parts = features.zip(activities).zip(weights.into_iter().zip(nearest));
        Ok(parts
            .map(|((index, activity), (logits, nearest))| Dashboard {
                index: index as u32,
                activity,
                logits,
                nearest,
                decoder_norm: norms.and_then(|norms| norms.get(index)).copied(),
            })
            .collect())
    }

    /// None for a source that does not write to the residual stream.
    fn logits(&self, features: Range<usize>) -> Result<Vec<Option<LogitWeights>>> {
        let width = self.model.config().d_vocab.max(self.source.config().d_out);
        let mut all = Vec::with_capacity(features.len());
        for some in blocks(&features, width) {
            match logit_weights(&self.source, &self.model, some.clone(), &self.options.logits) {
                Ok(found) => all.extend(found.into_iter().map(Some)),
                Err(error) if error.kind() == latentdb_runtime::ErrorKind::InvalidInput => {
                    tracing::debug!(%error, "no logit weights");
                    all.extend(some.map(|_| None));
                }
                Err(error) => return Err(from_runtime(error)),
            }
        }
        Ok(all)
    }

    fn nearest(&self, features: Range<usize>) -> Result<Vec<Vec<(u32, f32)>>> {
        let Some(directions) = &self.directions else { return Ok(vec![Vec::new(); features.len()]) };
        let mut all = Vec::with_capacity(features.len());
        for some in blocks(&features, self.source.config().d_sae) {
            all.extend(directions.nearest(some, self.options.nearest).map_err(from_runtime)?);
        }
        Ok(all)
    }
}

/// Parts of `features` so that a matrix of them by `width` is no larger than a block.
fn blocks(features: &Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let most = (BLOCK / width.max(1)).clamp(1, 1024);
    let end = features.end;
    features.clone().step_by(most).map(move |first| first..(first + most).min(end))
}

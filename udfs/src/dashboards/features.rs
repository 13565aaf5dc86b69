//! Some features' dashboards, from their firings and from the weights.

use std::ops::Range;
use std::sync::Arc;

use latentdb_engine::Result;
use latentdb_runtime::dashboard::{
    Aligned, ComponentSums, Directions, Firing, LogitWeights, activity, alignment, head_shares, logit_weights,
};
use latentdb_runtime::model::Model;
use latentdb_runtime::source::Source;
use rayon::prelude::*;

use super::correlations::{Correlations, Correlator};
use super::options::GenerateOptions;
use super::rows::Dashboard;
use super::scratch::Scratch;
use crate::failure::from_runtime;

/// Values of a block of logit weights or cosines.
const BLOCK: usize = 16 << 20;

/// Components of a decoder row that are kept, as many as SAEDashboard keeps.
const ALIGNED: usize = 3;

/// Makes the dashboards of one source.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) model: Arc<Model>,
    source: Arc<Source>,
    /// Number of the source in the run.
    number: u32,
    scratch: Scratch,
    options: Arc<GenerateOptions>,
    /// Tokens of all prompts.
    tokens: u64,
    directions: Option<Directions>,
    elsewhere: Option<Directions>,
    correlator: Option<Correlator>,
}

/// What dashboards are made of.
pub(super) struct Ingredients {
    pub(super) model: Arc<Model>,
    pub(super) source: Arc<Source>,
    /// Number of the source in the run.
    pub(super) number: u32,
    /// Another source whose nearest features are wanted.
    pub(super) other: Option<Arc<Source>>,
    pub(super) scratch: Scratch,
    pub(super) options: Arc<GenerateOptions>,
    /// Tokens of all prompts, and those of them on which a feature can be active.
    pub(super) tokens: (u64, u64),
    /// Sums over those tokens, if correlations are wanted.
    pub(super) sums: Option<ComponentSums>,
}

impl Maker {
    pub(super) fn new(ingredients: Ingredients) -> Result<Self> {
        let Ingredients { model, source, number, other, scratch, options, tokens, sums } = ingredients;
        let directions = |source: &Source| Directions::new(source).map_err(from_runtime);
        let width = source.config().d_sae;
        let correlate =
            |sums: ComponentSums| Correlator::new(&scratch, (number, width), sums, tokens.1, options.correlated);
        Ok(Self {
            directions: if options.nearest > 0 { directions(&source)? } else { None },
            elsewhere: other.map(|other| directions(&other)).transpose()?.flatten(),
            correlator: sums.map(correlate).transpose()?,
            model,
            source,
            number,
            scratch,
            options,
            tokens: tokens.0,
        })
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
        let mut weights = self.logits(features.clone())?.into_iter();
        let (nearest, nearest_elsewhere) = (self.nearest(features.clone())?, self.nearest_elsewhere(features.clone())?);
        let (mut nearest, mut nearest_elsewhere) = (nearest.into_iter(), nearest_elsewhere.into_iter());
        let mut aligned = self.alignment(features.clone())?.into_iter();
        let mut shares = self.head_shares(features.clone())?.into_iter();
        let mut correlations = self.correlations(features.clone())?.into_iter();
        let made = features.zip(activities).map(|(index, activity)| Dashboard {
            index: index as u32,
            activity,
            logits: weights.next().flatten(),
            nearest: nearest.next().unwrap_or_default(),
            nearest_elsewhere: nearest_elsewhere.next().unwrap_or_default(),
            decoder_norm: norms.and_then(|norms| norms.get(index)).copied(),
            alignment: aligned.next(),
            head_shares: shares.next(),
            correlations: correlations.next(),
            attributions: Vec::new(),
        });
        Ok(made.collect())
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

    /// Empty if none are wanted.
    fn nearest(&self, features: Range<usize>) -> Result<Vec<Vec<(u32, f32)>>> {
        let Some(directions) = &self.directions else { return Ok(Vec::new()) };
        let mut all = Vec::with_capacity(features.len());
        for some in blocks(&features, self.source.config().d_sae) {
            all.extend(directions.nearest(some, self.options.nearest).map_err(from_runtime)?);
        }
        Ok(all)
    }

    /// Empty if there is no other source.
    fn nearest_elsewhere(&self, features: Range<usize>) -> Result<Vec<Vec<(u32, f32)>>> {
        let (Some(directions), Some(others)) = (&self.directions, &self.elsewhere) else { return Ok(Vec::new()) };
        let mut all = Vec::with_capacity(features.len());
        for some in blocks(&features, others.len()) {
            all.extend(directions.nearest_in(some, others, self.options.nearest).map_err(from_runtime)?);
        }
        Ok(all)
    }

    /// Empty for neurons.
    fn alignment(&self, features: Range<usize>) -> Result<Vec<Vec<Aligned>>> {
        Ok(alignment(&self.source, features, ALIGNED).map_err(from_runtime)?.unwrap_or_default())
    }

    /// Empty for a source that writes to no heads.
    fn head_shares(&self, features: Range<usize>) -> Result<Vec<Vec<f32>>> {
        Ok(head_shares(&self.source, &self.model, features).map_err(from_runtime)?.unwrap_or_default())
    }

    /// Empty if none are wanted.
    fn correlations(&self, features: Range<usize>) -> Result<Vec<Correlations>> {
        let Some(correlator) = &self.correlator else { return Ok(Vec::new()) };
        let mut all = Vec::with_capacity(features.len());
        for some in blocks(&features, self.source.config().d_sae) {
            all.extend(correlator.of(&self.scratch, self.number, some)?);
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

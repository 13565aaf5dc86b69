//! Which features, and which components of what a source reads, vary with each of its features.

use std::ops::Range;

use latentdb_engine::Result;
use latentdb_runtime::dashboard::{ComponentSums, Correlated, FeaturePairs, Moments};

use super::scratch::Scratch;

/// What correlates most with one feature.
#[derive(Debug, Clone, Default)]
pub(super) struct Correlations {
    pub(super) features: Vec<Correlated>,
    /// Components of what the source reads.
    pub(super) components: Vec<Correlated>,
}

/// Correlations of one source's features.
#[derive(Debug)]
pub(super) struct Correlator {
    /// Of all its features.
    moments: Vec<Moments>,
    sums: ComponentSums,
    /// Tokens on which features can be active.
    tokens: u64,
    /// How many are kept.
    most: usize,
}

impl Correlator {
    /// Reads all firings of source `number`, of `width` features, for their moments.
    pub(super) fn new(
        scratch: &Scratch,
        (number, width): (u32, usize),
        sums: ComponentSums,
        tokens: u64,
        most: usize,
    ) -> Result<Self> {
        let mut moments = vec![Moments::default(); width];
        scratch.each_segment(number, width, |firings| {
            for firing in firings {
                if let Some(own) = moments.get_mut(firing.feature as usize) {
                    own.add(f64::from(firing.value));
                }
            }
        })?;
        Ok(Self { moments, sums, tokens, most })
    }

    /// What correlates with each of some features.
    pub(super) fn of(&self, scratch: &Scratch, number: u32, features: Range<usize>) -> Result<Vec<Correlations>> {
        let mut pairs = FeaturePairs::new(features.clone(), self.moments.len());
        scratch.each_segment(number, self.moments.len(), |firings| pairs.take(firings))?;
        let others = pairs.correlated(&self.moments, self.tokens, self.most);
        let components = self.sums.correlated(features, &self.moments, self.tokens, self.most);
        let both = others.into_iter().zip(components);
        Ok(both.map(|(features, components)| Correlations { features, components }).collect())
    }
}

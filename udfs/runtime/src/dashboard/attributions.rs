//! Through which positions the heads made features fire, for many features at once: direct feature attribution of examples.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Result;
use crate::ops::HeadReads;
use crate::service::{Parts, Pass, Wants};
use crate::source::Source;

/// A feature, and the position of a prompt at which it fires.
pub type Target = (u32, u32);

/// Attributes features of a source that reads attention heads to the positions that the heads read.
#[derive(Debug)]
pub struct Attributions {
    source: Arc<Source>,
    /// By prompt.
    targets: Vec<Vec<Target>>,
    /// Encoder rows of the features asked for.
    weights: HashMap<u32, Vec<f32>>,
    found: Vec<Vec<Vec<f32>>>,
}

impl Attributions {
    /// For each prompt, what to attribute.
    ///
    /// # Errors
    /// `NotFound` if there is no such feature.
    pub fn new(source: Arc<Source>, targets: Vec<Vec<Target>>) -> Result<Self> {
        let mut weights = HashMap::new();
        for (feature, _) in targets.iter().flatten() {
            if !weights.contains_key(feature) {
                weights.insert(*feature, source.encoder_vector(*feature as usize)?);
            }
        }
        Ok(Self { source, targets, weights, found: Vec::new() })
    }
}

impl Pass for Attributions {
    /// For each target of each prompt, what came from each position.
    type Answer = Vec<Vec<Vec<f32>>>;

    fn wants(&self) -> Wants {
        Wants::points(HeadReads::points(self.source.config().point.layer))
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let reads = HeadReads::of(part, self.source.config().point.layer)?;
            let targets = self.targets.get(self.found.len()).map(Vec::as_slice).unwrap_or_default();
            let attribute = |(feature, position): &Target| {
                let weights = self.weights.get(feature).map(Vec::as_slice).unwrap_or_default();
                reads.attribute(weights, *position as usize)
            };
            let found = targets.iter().map(attribute).collect::<Result<_>>()?;
            self.found.push(found);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

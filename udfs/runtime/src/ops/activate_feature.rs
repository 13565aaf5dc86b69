//! `activate_feature`: one feature's activation at every token of a prompt, and for a source that reads attention heads,
//! which tokens it came from.
//!
//! Follows `/activation/single` of Neuronpedia's inference server: an SAE's value on a BOS token counts as 0 wherever it stands, and a prompt
//! that has one loses its first position; neurons and vectors are left as they are. Direct feature attribution
//! ([`HeadReads`]) is of the feature's strongest position.

use std::sync::Arc;

use candle_core::Tensor;

use super::activate::{first_maximum, starts_with_bos};
use super::attribution::HeadReads;
use super::matrix::values;
use crate::service::{Part, Parts, Pass, Wants};
use crate::source::{Architecture, Source};
use crate::{Error, ErrorKind, Place, Point, Result};

/// What is measured at each token.
#[derive(Debug, Clone)]
pub enum Probe {
    /// A feature of a source.
    Feature {
        /// The source.
        source: Arc<Source>,
        /// Feature index.
        index: usize,
    },
    /// The dot product with a vector, at a point.
    Vector {
        /// Where the vector lives.
        point: Point,
        /// Its components.
        vector: Arc<Vec<f32>>,
    },
}

impl Probe {
    fn point(&self) -> Point {
        match self {
            Self::Feature { source, .. } => source.config().point,
            Self::Vector { point, .. } => *point,
        }
    }
}

/// The operation.
#[derive(Debug)]
pub struct ActivateFeature {
    probe: Probe,
    ignore_bos: bool,
    with_attribution: bool,
    found: Vec<FeatureValues>,
}

/// A feature on a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureValues {
    /// Position of the first value in the prompt: 1 where a BOS token was left out.
    pub first_position: usize,
    /// The value at each position.
    pub values: Vec<f32>,
    /// Where it came from, for a source that reads attention heads.
    pub attribution: Option<DirectFeatureAttribution>,
}

/// How much each token gave to a feature through the attention heads, at the position where it fired most.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectFeatureAttribution {
    /// The position where it fired most, counted as the values are.
    pub target: usize,
    /// What came from each position.
    pub values: Vec<f32>,
}

impl ActivateFeature {
    /// Measures `probe`. `ignore_bos` has effect on the features of SAEs alone.
    pub fn new(probe: Probe, ignore_bos: bool) -> Self {
        let with_attribution = probe.point().place == Place::Z;
        Self { probe, ignore_bos, with_attribution, found: Vec::new() }
    }

    fn measure(&self, part: &Part<'_>) -> Result<Vec<f32>> {
        let activations = part.value(self.probe.point())?;
        match &self.probe {
            Probe::Feature { source, index } => {
                let whole = 0..activations.dim(0)?;
                source.encode_feature(&activations, *index, std::slice::from_ref(&whole))
            }
            Probe::Vector { vector, point } => {
                let width = activations.dim(1)?;
                if vector.len() != width {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("the vector has {} components, and {point} is {width} wide", vector.len()),
                    ));
                }
                let vector = Tensor::new(vector.as_slice(), activations.device())?.to_dtype(activations.dtype())?;
                values(&activations.matmul(&vector.unsqueeze(1)?)?)
            }
        }
    }

    /// Zeroes BOS tokens, and tells how many positions at the start are left out.
    fn silence_bos(&self, part: &Part<'_>, values: &mut [f32]) -> usize {
        let is_sae = matches!(&self.probe, Probe::Feature { source, .. } if source.config().architecture != Architecture::Neurons);
        let Some(bos) = part.model().tokenizer().bos().filter(|_| is_sae && self.ignore_bos) else { return 0 };
        let mut has_bos = false;
        for (value, token) in values.iter_mut().zip(part.tokens()) {
            if *token == bos {
                *value = 0.0;
                has_bos = true;
            }
        }
        usize::from(has_bos && starts_with_bos(part))
    }

    fn attribution(&self, part: &Part<'_>, target: usize) -> Result<Option<Vec<f32>>> {
        let Probe::Feature { source, index } = &self.probe else { return Ok(None) };
        if !self.with_attribution {
            return Ok(None);
        }
        let reads = HeadReads::of(part, self.probe.point().layer)?;
        reads.attribute(&source.encoder_vector(*index)?, target).map(Some)
    }
}

impl Pass for ActivateFeature {
    /// One for each prompt.
    type Answer = Vec<FeatureValues>;

    fn wants(&self) -> Wants {
        let point = self.probe.point();
        let of_heads = self.with_attribution.then(|| HeadReads::points(point.layer));
        Wants::points([point].into_iter().chain(of_heads.into_iter().flatten()))
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let mut values = self.measure(part)?;
            let skipped = self.silence_bos(part, &mut values);
            let values: Vec<f32> = values.into_iter().skip(skipped).collect();
            let (target, _) = first_maximum(&values);
            let attribution = self.attribution(part, target + skipped)?;
            let attribution = attribution
                .map(|all| DirectFeatureAttribution { target, values: all.into_iter().skip(skipped).collect() });
            self.found.push(FeatureValues { first_position: skipped, values, attribution });
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

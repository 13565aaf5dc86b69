//! A transformer block.

use candle_core::Tensor;

use super::attention::Attention;
use super::cache::Cache;
use super::compact::StepWeights;
use super::config::Config;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rope::Angles;
use super::walk::{Step, Walk};
use crate::{Place, Result};

#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Before attention.
    pub(super) norm1: Norm,
    /// Before the MLP.
    pub(super) norm2: Norm,
    /// After attention, in some families.
    pub(super) post_attention: Option<Norm>,
    /// After the MLP, in some families.
    pub(super) post_mlp: Option<Norm>,
    pub(super) attention: Attention,
    pub(super) mlp: Mlp,
}

impl Block {
    /// The residual stream `[N, d]` after the block.
    pub(super) fn forward(
        &self,
        config: &Config,
        layer: usize,
        stream: Tensor,
        angles: Option<&Angles>,
        cache: &mut Option<&mut Cache>,
        walk: &mut Walk<'_>,
    ) -> Step<Tensor> {
        let stream = walk.at(Place::ResidPre, layer, stream)?;
        let input = watched_norm(&self.norm1, Place::Ln1Normalized, layer, &stream, walk)?;
        let attended = self.attention.forward(config, layer, &input, angles, cache, walk)?;
        let attended = walk.at(Place::AttnRaw, layer, attended)?;
        let attended = walk.at(Place::AttnOut, layer, after(&self.post_attention, attended)?)?;
        let with_attention = (&stream + attended)?;
        let middle = if config.parallel { with_attention } else { walk.at(Place::ResidMid, layer, with_attention)? };
        let read = if config.parallel { &stream } else { &middle };
        let input = watched_norm(&self.norm2, Place::Ln2Normalized, layer, read, walk)?;
        let input = walk.at(Place::MlpIn, layer, input)?;
        let thought = self.mlp.forward(config, layer, &input, walk)?;
        let thought = walk.at(Place::MlpRaw, layer, thought)?;
        let thought = walk.at(Place::MlpOut, layer, after(&self.post_mlp, thought)?)?;
        walk.at(Place::ResidPost, layer, (middle + thought)?)
    }

    /// With its weights also in fewer bits.
    pub(super) fn compacted(self, kind: StepWeights) -> Result<Self> {
        let Self { attention, mlp, .. } = self;
        let attention =
            Attention { qkv: attention.qkv.compacted(kind)?, out: attention.out.compacted(kind)?, ..attention };
        let gate = mlp.gate.map(|gate| gate.compacted(kind)).transpose()?;
        let mlp = Mlp { gate, up: mlp.up.compacted(kind)?, down: mlp.down.compacted(kind)? };
        Ok(Self { attention, mlp, ..self })
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        self.attention.size_in_bytes() + self.mlp.size_in_bytes()
    }
}

fn after(norm: &Option<Norm>, value: Tensor) -> Step<Tensor> {
    Ok(match norm {
        Some(norm) => norm.forward(&value)?,
        None => value,
    })
}

/// A norm whose result before the gain may be looked at, and changed.
pub(super) fn watched_norm(
    norm: &Norm,
    place: Place,
    layer: usize,
    value: &Tensor,
    walk: &mut Walk<'_>,
) -> Step<Tensor> {
    if !walk.is_watched(place, layer) {
        return Ok(norm.forward(value)?);
    }
    let normalized = walk.at(place, layer, norm.normalize(value)?)?;
    Ok(norm.apply_gain(&normalized)?)
}

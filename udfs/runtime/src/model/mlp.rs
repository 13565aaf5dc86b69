//! The MLP: up, activation function, down; in newer families gated.

use candle_core::Tensor;

use super::config::Config;
use super::linear::Linear;
use super::walk::{Step, Walk};
use crate::Place;

#[derive(Debug, Clone)]
pub(super) struct Mlp {
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Mlp {
    /// `[N, d]` to `[N, d]`.
    pub(super) fn forward(&self, config: &Config, layer: usize, x: &Tensor, walk: &mut Walk<'_>) -> Step<Tensor> {
        let first = self.gate.as_ref().unwrap_or(&self.up);
        let mut pre = walk.at(Place::MlpPre, layer, first.forward_by(x, walk.products)?)?;
        if walk.is_watched(Place::MlpPre, layer) {
            // Whoever looked may have kept it, and the activation function works in place.
            pre = pre.copy()?;
        }
        let post = match &self.gate {
            Some(_) => {
                let linear = walk.at(Place::MlpPreLinear, layer, self.up.forward_by(x, walk.products)?)?;
                (config.activation.apply(pre)? * linear)?
            }
            None => config.activation.apply(pre)?,
        };
        let post = walk.at(Place::MlpPost, layer, post)?;
        Ok(self.down.forward_by(&post, walk.products)?)
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        let gate = self.gate.as_ref().map_or(0, Linear::size_in_bytes);
        gate + self.up.size_in_bytes() + self.down.size_in_bytes()
    }
}

//! The KV cache: keys and values of the tokens that sequences have behind them.

use candle_core::Tensor;

use super::config::Config;
use crate::Result;

/// Keys and values of a number of sequences, layer by layer.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `[layer][sequence]`: keys and values, `[Hkv, S, dh]` each.
    kept: Vec<Vec<Option<(Tensor, Tensor)>>>,
    lengths: Vec<usize>,
}

impl Cache {
    /// An empty cache for `sequences` sequences of a model.
    pub fn new(config: &Config, sequences: usize) -> Self {
        Self { kept: vec![vec![None; sequences]; config.n_layers], lengths: vec![0; sequences] }
    }

    /// Tokens of each sequence that are in the cache.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Puts new keys and values behind those of a sequence; gives all of them.
    pub(super) fn append(
        &mut self,
        layer: usize,
        sequence: usize,
        key: Tensor,
        value: Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let Some(slot) = self.kept.get_mut(layer).and_then(|of_layer| of_layer.get_mut(sequence)) else {
            return Ok((key, value));
        };
        let all = match slot.take() {
            Some((keys, values)) => (Tensor::cat(&[&keys, &key], 1)?, Tensor::cat(&[&values, &value], 1)?),
            None => (key.contiguous()?, value.contiguous()?),
        };
        *slot = Some(all.clone());
        Ok(all)
    }

    /// Counts new tokens, after a pass through all layers.
    pub(super) fn advance(&mut self, tokens: &[usize]) {
        for (length, new) in self.lengths.iter_mut().zip(tokens) {
            *length += new;
        }
    }
}

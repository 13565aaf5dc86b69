//! BERT's encoder: embeddings, then layers that norm after adding.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::attention::attend;
use crate::Result;
use crate::model::{Activation, Batch, Linear, Norm, bytes};

/// The encoder, in f32.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) embeddings: Embeddings,
    pub(super) layers: Vec<Layer>,
    pub(super) device: Device,
}

/// What tokens and positions start from.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// `[V, d]`.
    pub(super) words: Tensor,
    /// `[n_positions, d]`, with the embedding of the first segment.
    pub(super) positions: Tensor,
    pub(super) norm: Norm,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) heads: usize,
    /// Queries, keys and values side by side: `[d, 3 · d]`.
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    pub(super) attention_norm: Norm,
    pub(super) up: Linear,
    pub(super) activation: Activation,
    pub(super) down: Linear,
    pub(super) mlp_norm: Norm,
}

impl Encoder {
    /// The last layer's vectors `[N, d]`. Sequences have to be within the positions, and tokens within the vocabulary.
    pub(super) fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let mut stream = self.embeddings.forward(batch, &self.device)?;
        for layer in &self.layers {
            stream = layer.forward(&stream, batch.sequences())?;
        }
        Ok(stream)
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        let embeddings = bytes(&self.embeddings.words) + bytes(&self.embeddings.positions);
        embeddings + self.layers.iter().map(Layer::size_in_bytes).sum::<usize>()
    }
}

impl Embeddings {
    fn forward(&self, batch: &Batch, device: &Device) -> Result<Tensor> {
        let positions: Vec<u32> = batch.sequences().iter().flat_map(|rows| 0..rows.len() as u32).collect();
        let words = self.words.index_select(&Tensor::new(batch.tokens(), device)?, 0)?;
        let positions = self.positions.index_select(&Tensor::new(positions, device)?, 0)?;
        self.norm.forward_sum(words, &positions)
    }
}

impl Layer {
    /// `[N, d]` to `[N, d]`.
    fn forward(&self, stream: &Tensor, sequences: &[Range<usize>]) -> Result<Tensor> {
        let read = attend(&self.qkv.forward(stream)?, sequences, self.heads)?;
        let stream = self.attention_norm.forward_sum(self.out.forward(&read)?, stream)?;
        let thought = self.activation.apply(self.up.forward(&stream)?)?;
        self.mlp_norm.forward_sum(self.down.forward(&thought)?, &stream)
    }

    fn size_in_bytes(&self) -> usize {
        [&self.qkv, &self.out, &self.up, &self.down].into_iter().map(Linear::size_in_bytes).sum()
    }
}

//! The KV cache: keys and values of the tokens that sequences have behind them.
//!
//! Each sequence has its own buffers, which have room for more than is in them and are doubled when they are full, so that a
//! step writes only its own token.

use candle_core::{DType, Device, Tensor};

use super::config::Config;
use crate::{Error, ErrorKind, Result};

/// Keys and values of a number of sequences, layer by layer.
#[derive(Debug, Default)]
pub struct Cache {
    sequences: Vec<SequenceCache>,
}

/// Keys and values of one sequence.
#[derive(Debug, Default)]
pub struct SequenceCache {
    layers: Vec<Option<Buffers>>,
    length: usize,
    /// Most tokens that it may come to hold.
    longest: usize,
}

/// `[Hkv, capacity, dh]` each.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

/// Tokens that a buffer has room for at first.
const FIRST: usize = 64;

impl Cache {
    /// An empty cache for `sequences` sequences of a model.
    pub fn new(config: &Config, sequences: usize) -> Self {
        Self { sequences: (0..sequences).map(|_| SequenceCache::new(config, config.n_ctx)).collect() }
    }

    /// The caches of sequences, in the order that they have in a batch.
    pub fn of(sequences: Vec<SequenceCache>) -> Self {
        Self { sequences }
    }

    /// The sequences' own caches.
    pub fn into_sequences(self) -> Vec<SequenceCache> {
        self.sequences
    }

    /// Tokens of each sequence that are in the cache.
    pub fn lengths(&self) -> Vec<usize> {
        self.sequences.iter().map(|sequence| sequence.length).collect()
    }

    /// Tokens of a sequence that are in the cache.
    pub(super) fn length(&self, sequence: usize) -> usize {
        self.sequences.get(sequence).map_or(0, |sequence| sequence.length)
    }

    /// Puts new keys and values `[Hkv, T, dh]` behind those of a sequence; gives the buffers, and how many tokens are in them.
    pub(super) fn append(
        &mut self,
        layer: usize,
        sequence: usize,
        key: &Tensor,
        value: &Tensor,
    ) -> Result<(&Buffers, usize)> {
        let sequence = self.sequences.get_mut(sequence).ok_or_else(|| not_there("sequence"))?;
        sequence.append(layer, key, value)
    }

    /// Counts new tokens, after a pass through all layers.
    pub(super) fn advance(&mut self, tokens: &[usize]) {
        for (sequence, new) in self.sequences.iter_mut().zip(tokens) {
            sequence.length += new;
        }
    }
}

impl SequenceCache {
    /// An empty cache, for a sequence of at most `longest` tokens.
    pub fn new(config: &Config, longest: usize) -> Self {
        Self { layers: (0..config.n_layers).map(|_| None).collect(), length: 0, longest }
    }

    /// Tokens that are in it.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Bytes that are allocated.
    pub fn size_in_bytes(&self) -> usize {
        let buffers = self.layers.iter().flatten().flat_map(|buffers| [&buffers.keys, &buffers.values]);
        buffers.map(super::linear::bytes).sum()
    }

    /// Bytes that a sequence of `tokens` tokens takes at most.
    pub fn most_bytes(config: &Config, dtype: DType, tokens: usize) -> usize {
        2 * config.n_layers * config.n_kv_heads * config.d_head * tokens * dtype.size_in_bytes()
    }

    fn append(&mut self, layer: usize, key: &Tensor, value: &Tensor) -> Result<(&Buffers, usize)> {
        let (start, end) = (self.length, self.length + key.dim(1)?);
        let longest = self.longest.max(end);
        let slot = self.layers.get_mut(layer).ok_or_else(|| not_there("layer"))?;
        let buffers = match slot.take() {
            Some(buffers) if buffers.keys.dim(1)? >= end => buffers,
            old => {
                let capacity = end.next_power_of_two().max(FIRST).min(longest);
                let grown = |old: Option<&Tensor>, like: &Tensor| grow(old, like, capacity, start);
                let (keys, values) = old.as_ref().map(|old| (&old.keys, &old.values)).unzip();
                Buffers { keys: grown(keys, key)?, values: grown(values, value)? }
            }
        };
        buffers.keys.slice_set(&key.contiguous()?, 1, start)?;
        buffers.values.slice_set(&value.contiguous()?, 1, start)?;
        Ok((slot.insert(buffers), end))
    }
}

/// A buffer for `capacity` tokens, with the first `filled` of the old one.
fn grow(old: Option<&Tensor>, like: &Tensor, capacity: usize, filled: usize) -> Result<Tensor> {
    let (heads, _, width) = like.dims3()?;
    let new = zeros(heads, capacity, width, like.dtype(), like.device())?;
    if let Some(old) = old.filter(|_| filled > 0) {
        new.slice_set(&old.narrow(1, 0, filled)?.contiguous()?, 1, 0)?;
    }
    Ok(new)
}

fn zeros(heads: usize, capacity: usize, width: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(Tensor::zeros((heads, capacity, width), dtype, device)?)
}

fn not_there(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the cache has no such {what}"))
}

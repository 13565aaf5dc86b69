//! Attention, sequence by sequence over packed activations.

use candle_core::{DType, Tensor};

use super::cache::Cache;
use super::config::Config;
use super::linear::Linear;
use super::norm::Norm;
use super::reader::Reader;
use super::rope::Angles;
use super::softmax::Mask;
use super::walk::{Step, Walk};
use crate::{Place, Point, Result};

#[derive(Debug, Clone)]
pub(super) struct Attention {
    /// Queries, then keys, then values: `[d, (H + 2 Hkv) · dh]`.
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    pub(super) query_norm: Option<Norm>,
    pub(super) key_norm: Option<Norm>,
}

/// Queries, keys and values of a batch: `[N, heads, dh]`.
struct Heads {
    query: Tensor,
    key: Tensor,
    value: Tensor,
}

impl Attention {
    /// `[N, d]` to `[N, d]`. With a cache, new tokens see the cached ones too.
    pub(super) fn forward(
        &self,
        config: &Config,
        layer: usize,
        x: &Tensor,
        angles: Option<&Angles>,
        cache: &mut Option<&mut Cache>,
        walk: &mut Walk<'_>,
    ) -> Step<Tensor> {
        let heads = self.heads(config, layer, x, angles, walk)?;
        let batch = walk.batch;
        let is_watched = walk.is_watched(Place::Pattern, layer);
        let mut read = Vec::with_capacity(batch.sequences().len());
        for (sequence, rows) in batch.sequences().iter().enumerate() {
            let part = |all: &Tensor| -> Result<Tensor> { Ok(all.narrow(0, rows.start, rows.len())?.transpose(0, 1)?) };
            let (query, mut key, mut value) = (part(&heads.query)?, part(&heads.key)?, part(&heads.value)?);
            let mut past = 0;
            if let Some(cache) = cache {
                past = cache.length(sequence);
                let (buffers, tokens) = cache.append(layer, sequence, &key, &value)?;
                if rows.len() == 1 && !is_watched && is_plain_kind(&query) {
                    read.push(Reader { mask: mask(config, layer, past) }.read(&query, buffers, tokens)?);
                    continue;
                }
                (key, value) = (buffers.keys.narrow(1, 0, tokens)?, buffers.values.narrow(1, 0, tokens)?);
            }
            let pattern = pattern(config, layer, past, &query, &key)?;
            let pattern = walk.at_pattern(layer, sequence, pattern)?;
            read.push(attend(config, &pattern, &value)?);
        }
        walk.end_at(Point::new(Place::Pattern, layer))?;
        let z = walk.at(Place::Z, layer, Tensor::cat(&read, 0)?)?;
        Ok(self.out.forward_by(&z, walk.products)?)
    }

    fn heads(
        &self,
        config: &Config,
        layer: usize,
        x: &Tensor,
        angles: Option<&Angles>,
        walk: &mut Walk<'_>,
    ) -> Step<Heads> {
        let rows = x.dim(0)?;
        let (queries, keys) = (config.n_heads * config.d_head, config.n_kv_heads * config.d_head);
        let fused = self.qkv.forward_by(x, walk.products)?;
        let query = walk.at(Place::Query, layer, fused.narrow(1, 0, queries)?)?;
        let key = walk.at(Place::Key, layer, fused.narrow(1, queries, keys)?)?;
        let value = walk.at(Place::Value, layer, fused.narrow(1, queries + keys, keys)?)?;
        let split = |flat: &Tensor, heads: usize| -> Result<Tensor> { Ok(flat.reshape((rows, heads, config.d_head))?) };
        let turned = |heads: Tensor, norm: &Option<Norm>| -> Result<Tensor> {
            let heads = match norm {
                Some(norm) => norm.forward(&heads)?,
                None => heads,
            };
            angles.map_or(Ok(heads.clone()), |angles| angles.turn(&heads))
        };
        Ok(Heads {
            query: turned(split(&query, config.n_heads)?, &self.query_norm)?,
            key: turned(split(&key, config.n_kv_heads)?, &self.key_norm)?,
            value: split(&value, config.n_kv_heads)?,
        })
    }

    pub(super) fn size_in_bytes(&self) -> usize {
        self.qkv.size_in_bytes() + self.out.size_in_bytes()
    }
}

/// Whether a tensor is f32 on the processor.
fn is_plain_kind(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Weights `[H, T, S]` of queries `[H, T, dh]` over keys `[Hkv, S, dh]`. Query heads that share a key head are rows of one product.
fn pattern(config: &Config, layer: usize, past: usize, query: &Tensor, key: &Tensor) -> Result<Tensor> {
    let (heads, queries, width) = query.dims3()?;
    let (key_heads, keys, _) = key.dims3()?;
    let transposed = key.transpose(1, 2)?;
    let scores = if heads == key_heads {
        query.matmul(&transposed)?
    } else {
        let shared = query.contiguous()?.reshape((key_heads, heads / key_heads * queries, width))?;
        shared.matmul(&transposed)?.reshape((heads, queries, keys))?
    };
    mask(config, layer, past).softmax(scores)
}

fn mask(config: &Config, layer: usize, past: usize) -> Mask {
    Mask {
        scale: config.attention_scale as f32,
        softcap: config.attention_softcap.map(|cap| cap as f32),
        past,
        window: config.windows.get(layer).copied().flatten(),
    }
}

/// What heads read: `[T, H · dh]` of weights `[H, T, S]` and values `[Hkv, S, dh]`.
fn attend(config: &Config, pattern: &Tensor, value: &Tensor) -> Result<Tensor> {
    let (heads, queries, keys) = pattern.dims3()?;
    let (key_heads, _, width) = value.dims3()?;
    let read = if heads == key_heads {
        pattern.matmul(value)?
    } else {
        let shared = pattern.reshape((key_heads, heads / key_heads * queries, keys))?;
        shared.matmul(value)?.reshape((heads, queries, width))?
    };
    Ok(read.transpose(0, 1)?.reshape((queries, heads * config.d_head))?)
}

//! The model: embeddings, blocks, final norm, unembedding.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::batch::Batch;
use super::block::{Block, watched_norm};
use super::cache::Cache;
use super::compact::StepWeights;
use super::config::Config;
use super::ends::ends;
use super::families::{self, Outside};
use super::linear::{Products, bytes};
use super::rope::{Angles, Rope};
use super::tap::Tap;
use super::walk::{Halt, LogitRows, Step, Until, Walk};
use super::weights::Weights;
use crate::tokens::Tokenizer;
use crate::{Error, ErrorKind, Place, Point, Result};

/// How a model is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Where it lives.
    pub device: Device,
    /// Number type that it computes in; none for f32 on the processor and for the files' own on other devices.
    pub dtype: Option<DType>,
    /// How its weights are kept for the steps of generation, on the processor.
    pub step_weights: StepWeights,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, dtype: None, step_weights: StepWeights::default() }
    }
}

/// A language model.
#[derive(Debug)]
pub struct Model {
    config: Config,
    tokenizer: Tokenizer,
    /// Tokens that end a text.
    ends: Vec<u32>,
    device: Device,
    dtype: DType,
    outside: Outside,
    blocks: Vec<Block>,
}

impl Model {
    /// Opens the model in a directory of Hugging Face's files.
    ///
    /// # Errors
    /// `Io` for files that are not there, `BadFile` for what is damaged or does not fit together, `Unsupported` for a
    /// family that is not known.
    pub fn open(directory: &Path, options: &OpenOptions) -> Result<Self> {
        let config = Config::read(directory)?;
        let tokenizer = Tokenizer::open(directory)?;
        let weights = Weights::open(directory, &options.device, compute_type(options))?;
        let kind = options.step_weights;
        let block = |layer| families::block(&config, &weights, layer)?.compacted(kind);
        let blocks = (0..config.n_layers).map(block).collect::<Result<_>>()?;
        let mut outside = families::outside(&config, &weights)?;
        outside.unembedding = outside.unembedding.compacted(kind)?;
        let (device, dtype) = (options.device.clone(), weights.dtype());
        let ends = ends(directory, &tokenizer);
        Ok(Self { config, tokenizer, ends, device, dtype, outside, blocks })
    }

    /// What the model is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What it computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens that end a text: those that `generation_config.json` or `config.json` names, and the tokenizer's own.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Bytes that its weights take.
    pub fn size_in_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::size_in_bytes).sum();
        let head = &self.outside.unembedding;
        let head = if self.config.tied { head.compact_bytes() } else { head.size_in_bytes() };
        blocks + bytes(&self.outside.embedding) + head
    }

    /// Runs a batch up to `until`. Gives logits, `[N, V]` or one row for each sequence, if it is to end at them.
    ///
    /// # Errors
    /// `InvalidInput` for a token that is not in the vocabulary or a sequence beyond the context; what the tap fails
    /// with.
    pub fn forward(&self, batch: &Batch, tap: &mut dyn Tap, until: Until) -> Result<Option<Tensor>> {
        self.run(batch, None, Products::Many, tap, until)
    }

    /// As [`forward`](Self::forward), for tokens that follow those in the cache, which then has them too; unless the pass fails or
    /// ends before the logits.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_cached(
        &self,
        batch: &Batch,
        cache: &mut Cache,
        tap: &mut dyn Tap,
        until: Until,
    ) -> Result<Option<Tensor>> {
        self.run(batch, Some(cache), Products::Many, tap, until)
    }

    /// As [`forward_cached`](Self::forward_cached), for a few tokens, such as the next one of each of many texts: on the processor
    /// faster, and each row is computed as if it were alone, to the bit.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn step(&self, batch: &Batch, cache: &mut Cache, tap: &mut dyn Tap) -> Result<Option<Tensor>> {
        self.run(batch, Some(cache), Products::Few, tap, Until::Logits(LogitRows::Last))
    }

    /// Logits of residual streams `[N, d]`, through the model's own final norm: `[N, V]`.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn unembed(&self, stream: &Tensor) -> Result<Tensor> {
        let normed = self.outside.final_norm.forward(&stream.to_dtype(self.dtype)?)?;
        self.head(&normed, Products::Many)
    }

    /// The direction that raises a token's logit: its column of the unembedding, `[d]`.
    ///
    /// # Errors
    /// `InvalidInput` for a token that is not in the vocabulary.
    pub fn unembedding_vector(&self, token: u32) -> Result<Vec<f32>> {
        self.check_tokens(&[token])?;
        Ok(self.outside.unembedding.column(token as usize)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// What directions at `point` `[B, width]` write to the residual stream `[B, d]`: themselves, or through the output
    /// projection of the layer's MLP or attention.
    ///
    /// # Errors
    /// `InvalidInput` if nothing at that point, or of that width, is written to the stream.
    pub fn written_to_stream(&self, directions: &Tensor, point: Point) -> Result<Tensor> {
        let block = self.blocks.get(point.layer);
        let projection = match (point.place, block) {
            (Place::MlpPre | Place::MlpPreLinear | Place::MlpPost, Some(block)) => Some(block.mlp.down.weight()),
            (Place::Z, Some(block)) => Some(block.attention.out.weight()),
            _ => None,
        };
        let directions = directions.to_dtype(self.dtype)?.to_device(&self.device)?;
        let width = directions.dim(1)?;
        match projection {
            Some(weight) if weight.dim(0)? == width => Ok(directions.matmul(weight)?),
            None if width == self.config.d_model => Ok(directions),
            _ => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("directions of width {width} at {point} are not written to the residual stream"),
            )),
        }
    }

    /// Products of directions in the residual stream `[B, d]` with the unembedding: `[B, V]`. No final norm, no bias and no
    /// soft cap take part: it is the direct effect on the logits up to a factor.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn direct_logits(&self, directions: &Tensor) -> Result<Tensor> {
        Ok(directions.to_dtype(self.dtype)?.matmul(self.outside.unembedding.weight())?)
    }

    fn run(
        &self,
        batch: &Batch,
        mut cache: Option<&mut Cache>,
        products: Products,
        tap: &mut dyn Tap,
        until: Until,
    ) -> Result<Option<Tensor>> {
        self.check_tokens(batch.tokens())?;
        let lengths: Vec<usize> = batch.sequences().iter().map(ExactSizeIterator::len).collect();
        let positions = self.positions(batch, cache.as_deref())?;
        let mut walk = Walk::new(batch, products, tap, until);
        match self.walk(&positions, &mut cache, &mut walk, until) {
            Ok(logits) => {
                if let Some(cache) = cache {
                    cache.advance(&lengths);
                }
                Ok(Some(logits))
            }
            Err(Halt::Reached) => Ok(None),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    fn walk(
        &self,
        positions: &[usize],
        cache: &mut Option<&mut Cache>,
        walk: &mut Walk<'_>,
        until: Until,
    ) -> Step<Tensor> {
        let mut stream = self.embed(positions, walk)?;
        let angles = self.angles(positions)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let turns = angles.iter().find(|(rope, _)| self.config.ropes.get(layer) == Some(&Some(rope.clone())));
            let turns = turns.map(|(_, angles)| angles);
            stream = block.forward(&self.config, layer, stream, turns, cache, walk)?;
        }
        self.logits(&stream, walk, until)
    }

    /// Position of each packed token in its sequence.
    fn positions(&self, batch: &Batch, cache: Option<&Cache>) -> Result<Vec<usize>> {
        let mut positions = Vec::with_capacity(batch.tokens().len());
        for (sequence, rows) in batch.sequences().iter().enumerate() {
            let past = cache.map_or(0, |cache| cache.length(sequence));
            let end = past + rows.len();
            if end > self.config.n_ctx {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("the prompt has {end} tokens, and the model's context holds {}", self.config.n_ctx),
                )
                .with_hint("cut the prompt"));
            }
            positions.extend(past..end);
        }
        Ok(positions)
    }

    /// Refuses tokens that are not in the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let unknown = tokens.iter().find(|token| **token as usize >= self.config.d_vocab);
        unknown.map_or(Ok(()), |token| {
            Err(Error::new(ErrorKind::InvalidInput, format!("there is no token {token}"))
                .with_hint(format!("the model's tokens are 0 to {}", self.config.d_vocab.saturating_sub(1))))
        })
    }

    fn embed(&self, positions: &[usize], walk: &mut Walk<'_>) -> Step<Tensor> {
        let tokens = Tensor::new(walk.batch.tokens(), &self.device)?;
        let mut stream = self.outside.embedding.index_select(&tokens, 0)?;
        if let Some(scale) = self.config.embedding_scale {
            stream = stream.affine(rounded(scale, self.dtype), 0.0)?;
        }
        stream = walk.at(Place::Embed, 0, stream)?;
        if let Some(learned) = &self.outside.positions {
            let index: Vec<u32> = positions.iter().map(|position| *position as u32).collect();
            let learned = learned.index_select(&Tensor::new(index, &self.device)?, 0)?;
            stream = (stream + walk.at(Place::PosEmbed, 0, learned)?)?;
        }
        Ok(stream)
    }

    /// The turns of each kind of rotary embedding that the layers have.
    fn angles(&self, positions: &[usize]) -> Result<Vec<(Rope, Angles)>> {
        let mut kinds: Vec<(Rope, Angles)> = Vec::new();
        for rope in self.config.ropes.iter().flatten() {
            if kinds.iter().all(|(known, _)| known != rope) {
                kinds.push((rope.clone(), rope.angles(positions, &self.device)?));
            }
        }
        Ok(kinds)
    }

    fn logits(&self, stream: &Tensor, walk: &mut Walk<'_>, until: Until) -> Step<Tensor> {
        let only_last = until == Until::Logits(LogitRows::Last);
        // Whoever looks at a point is shown a row for each token, however few of them the caller wants.
        let is_watched = [Place::FinalNormalized, Place::Logits].iter().any(|place| walk.is_watched(*place, 0));
        let selects_first = only_last && !is_watched;
        let stream = if selects_first { self.last_rows(stream, walk.batch)? } else { stream.clone() };
        let normed = watched_norm(&self.outside.final_norm, Place::FinalNormalized, 0, &stream, walk)?;
        let logits = walk.at(Place::Logits, 0, self.head(&normed, walk.products)?)?;
        Ok(if only_last && !selects_first { self.last_rows(&logits, walk.batch)? } else { logits })
    }

    /// The row of each sequence's last token.
    fn last_rows(&self, rows: &Tensor, batch: &Batch) -> Result<Tensor> {
        let last: Vec<u32> = batch.sequences().iter().map(|rows| rows.end.saturating_sub(1) as u32).collect();
        Ok(rows.index_select(&Tensor::new(last, &self.device)?, 0)?)
    }

    fn head(&self, normed: &Tensor, products: Products) -> Result<Tensor> {
        let logits = self.outside.unembedding.forward_by(normed, products)?;
        Ok(match self.config.final_softcap {
            Some(cap) => logits.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)?,
            None => logits,
        })
    }
}

/// candle has no products in bf16 on the processor, and f16 is slow there: f32 unless something else is asked for.
fn compute_type(options: &OpenOptions) -> Option<DType> {
    match (options.dtype, options.device.is_cpu()) {
        (Some(DType::BF16) | None, true) => Some(DType::F32),
        (dtype, _) => dtype,
    }
}

/// A factor as the number type keeps it: Hugging Face's Gemma rounds its embedding scale so.
fn rounded(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => half::bf16::from_f64(value).to_f64(),
        DType::F16 => half::f16::from_f64(value).to_f64(),
        DType::F32 => f64::from(value as f32),
        _ => value,
    }
}

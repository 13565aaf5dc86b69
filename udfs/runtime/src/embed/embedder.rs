//! From texts to vectors.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use candle_core::Device;

use super::batches::{batches, pack};
use super::config::Config;
use super::encoder::Encoder;
use super::identity::identity;
use super::load;
use super::pooling::normalize;
use super::recipe::Recipe;
use super::tokenizer::Tokenizer;
use crate::model::Batch;
use crate::{Error, ErrorKind, Result};

/// Tokens of one batch: enough that products are efficient, and that few texts wait when somebody cancels.
const BATCH_TOKENS: usize = 2048;
/// Texts that are cut into tokens together, and sorted by their length.
const ROUND: usize = 4096;

/// A model of sentence embeddings, to be used by any number of threads.
#[derive(Debug)]
pub struct TextEmbedder {
    config: Config,
    recipe: Recipe,
    tokenizer: Tokenizer,
    encoder: Encoder,
    identity: String,
}

impl TextEmbedder {
    /// Opens the model in `directory`: a BERT encoder's `config.json`, `model.safetensors` or `pytorch_model.bin`, and
    /// `tokenizer.json` or `vocab.txt`; and beside them, if it is a model of sentence-transformers, `modules.json` and what
    /// that points to. It computes in f32, on `device`.
    ///
    /// # Errors
    /// `Io` for files that are not there, `BadFile` for what is damaged or does not fit together, `Unsupported` for other
    /// encoders than BERT and for modules other than pooling by mean or first token and normalizing.
    pub fn open(directory: &Path, device: &Device) -> Result<Self> {
        let recipe = Recipe::read(directory)?;
        let config = Config::read(&recipe.encoder)?;
        let mut tokenizer = Tokenizer::open(&recipe.encoder, recipe.max_tokens, config.n_positions)?;
        if recipe.lower_case {
            tokenizer.lower_case()?;
        }
        tokenizer.check_vocabulary(config.d_vocab)?;
        let weights = load::weights_file(&recipe.encoder)?;
        let encoder = load::encoder(&weights, &config, device)?;
        let identity = identity(&config, &recipe, &tokenizer, &weights)?;
        Ok(Self { config, recipe, tokenizer, encoder, identity })
    }

    /// Length of a vector.
    pub fn width(&self) -> usize {
        self.config.width
    }

    /// Tokens beyond which a text is cut, `[CLS]` and `[SEP]` counted.
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// A name that is the same for models that give the same vectors, wherever their files lie, and another one for all
    /// others: a column of vectors records it, and vectors under two names must not be compared. It follows from the bytes of
    /// the weights and of the tokenizer's file, so that the same model saved in another format has another name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Bytes that its weights take.
    pub fn size_in_bytes(&self) -> usize {
        self.encoder.size_in_bytes()
    }

    /// The vector of each text, `[width]`, in the texts' order. An empty text has one too: that of `[CLS]` and `[SEP]` alone. What
    /// is beyond [`max_tokens`](Self::max_tokens) is left out, without a word, as sentence-transformers does it.
    ///
    /// # Errors
    /// `OutOfMemory`; `BadFile` if weights make a vector that is not finite.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.embed_watched(texts, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`embed`](Self::embed). Before each batch of a few seconds at most, `progress` is told how many texts are done, and may
    /// end it.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and `Cancelled` if `progress` ended it.
    pub fn embed_watched(
        &self,
        texts: &[&str],
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(ROUND) {
            let tokens = self.tokenizer.encode(texts.to_vec())?;
            let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
            let before = vectors.len();
            vectors.resize(before + texts.len(), Vec::new());
            let mut done = before;
            for numbers in batches(&lengths, BATCH_TOKENS) {
                if progress(done).is_break() {
                    return Err(Error::new(ErrorKind::Cancelled, "the embedding was ended"));
                }
                for (number, vector) in numbers.iter().zip(self.embed_batch(&pack(&tokens, &numbers)?)?) {
                    if let Some(place) = vectors.get_mut(before + number) {
                        *place = vector;
                    }
                }
                done += numbers.len();
            }
        }
        Ok(vectors)
    }

    fn embed_batch(&self, batch: &Batch) -> Result<Vec<Vec<f32>>> {
        let width = self.config.width;
        let positions = self.encoder.forward(batch)?.flatten_all()?.to_vec1::<f32>()?;
        let vector = |rows: &Range<usize>| {
            let own = positions.get(rows.start * width..rows.end * width).unwrap_or_default();
            let mut vector = self.recipe.pooling.apply(own, width);
            if self.recipe.is_normalized {
                normalize(&mut vector);
            }
            check_finite(vector)
        };
        batch.sequences().iter().map(vector).collect()
    }
}

fn check_finite(vector: Vec<f32>) -> Result<Vec<f32>> {
    if vector.iter().all(|value| value.is_finite()) {
        return Ok(vector);
    }
    Err(Error::new(ErrorKind::BadFile, "the encoder gives a vector that is not finite")
        .with_hint("its weights have values that are not finite, or are far too large"))
}

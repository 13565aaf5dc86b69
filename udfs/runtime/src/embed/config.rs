//! What a BERT encoder is, by Hugging Face's `config.json`.

use std::path::Path;

use serde_json::Value;

use crate::model::{Activation, Fields};
use crate::{Error, ErrorKind, Result};

/// Name of the file.
const FILE: &str = "config.json";
/// The one type of encoder.
const KIND: &str = "bert";
/// No size of a real encoder comes near; products of two of them are still numbers.
const LARGEST: usize = 1 << 24;

/// The sizes of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    /// Width of a position's vector.
    pub(super) width: usize,
    /// Neurons of an MLP.
    pub(super) d_mlp: usize,
    pub(super) d_vocab: usize,
    /// Longest text in tokens.
    pub(super) n_positions: usize,
    /// Kinds of segments; a text by itself is of the first kind.
    pub(super) n_types: usize,
    pub(super) norm_eps: f64,
    pub(super) activation: Activation,
}

impl Config {
    /// Reads `config.json` in an encoder's directory.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_hint(
                "an encoder's directory has Hugging Face's config.json, model.safetensors and tokenizer.json",
            )
        })?;
        Self::parse(&text).map_err(|error| error.within(path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| Error::new(ErrorKind::BadFile, format!("not JSON: {error}")))?;
        let fields = Fields::of(&json);
        check_kind(&fields)?;
        Self {
            n_layers: fields.size("num_hidden_layers")?,
            n_heads: fields.size("num_attention_heads")?,
            width: fields.size("hidden_size")?,
            d_mlp: fields.size("intermediate_size")?,
            d_vocab: fields.size("vocab_size")?,
            n_positions: fields.size("max_position_embeddings")?,
            n_types: fields.size_or_none("type_vocab_size")?.unwrap_or(2),
            norm_eps: fields.number_or("layer_norm_eps", 1e-12)?,
            activation: fields.activation("hidden_act")?,
        }
        .check()
    }

    /// Refuses what would divide by zero or not fit together later.
    fn check(self) -> Result<Self> {
        let bad = |what: &str| Err(Error::new(ErrorKind::BadFile, what.to_owned()));
        let sizes = [self.n_layers, self.n_heads, self.width, self.d_mlp, self.d_vocab, self.n_positions, self.n_types];
        if sizes.contains(&0) {
            return bad("a size is 0");
        }
        if sizes.iter().any(|size| *size > LARGEST) {
            return bad("a size is larger than any encoder's");
        }
        if !self.width.is_multiple_of(self.n_heads) {
            return bad("hidden_size is no multiple of num_attention_heads");
        }
        Ok(self)
    }
}

/// Refuses what is not a plain BERT encoder.
fn check_kind(fields: &Fields<'_>) -> Result<()> {
    let unsupported = |what: String| {
        Err(Error::new(ErrorKind::Unsupported, what).with_hint(
            "supported are BERT encoders (\"model_type\": \"bert\") with absolute positions, as all-MiniLM-L6-v2, \
             all-MiniLM-L12-v2 and the English BGE, GTE and E5 models are",
        ))
    };
    let kind = fields.text("model_type")?;
    if kind != KIND {
        return unsupported(format!("encoders of type {kind:?} are not supported"));
    }
    if let Some(positions) = fields.get("position_embedding_type").filter(|kind| kind.as_str() != Some("absolute")) {
        return unsupported(format!("position_embedding_type {positions} is not supported"));
    }
    if fields.flag_or("is_decoder", false) || fields.flag_or("add_cross_attention", false) {
        return unsupported("a BERT that is a decoder is not supported".to_owned());
    }
    Ok(())
}

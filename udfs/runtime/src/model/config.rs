//! What a model is: everything its maths depends on, read from Hugging Face's `config.json`.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::activation::Activation;
use super::families;
use super::norm::NormKind;
use super::rope::Rope;
use crate::{Error, ErrorKind, Place, Point, Result};

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia.
    GptNeoX,
    /// Llama 1 to 3.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3.
    Qwen3,
    /// Gemma 1.
    Gemma,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, its text part.
    Gemma3,
}

/// Each family with its name in `config.json`.
const NAMES: &[(Family, &str)] = &[
    (Family::Gpt2, "gpt2"),
    (Family::GptNeoX, "gpt_neox"),
    (Family::Llama, "llama"),
    (Family::Mistral, "mistral"),
    (Family::Qwen2, "qwen2"),
    (Family::Qwen3, "qwen3"),
    (Family::Gemma, "gemma"),
    (Family::Gemma2, "gemma2"),
    (Family::Gemma3, "gemma3_text"),
];

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(family, _)| family == self).map_or("?", |(_, name)| name))
    }
}

impl Family {
    fn named(name: &str) -> Result<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(family, _)| *family).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::new(ErrorKind::Unsupported, format!("models of type {name:?} are not known"))
                .with_hint(format!("known are {}", known.join(", ")))
        })
    }
}

/// A model's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Family.
    pub family: Family,
    /// Number of blocks.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Query heads of a block.
    pub n_heads: usize,
    /// Key and value heads of a block.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub d_head: usize,
    /// Neurons of an MLP.
    pub d_mlp: usize,
    /// Tokens in the vocabulary.
    pub d_vocab: usize,
    /// Longest context in tokens.
    pub n_ctx: usize,
    pub(super) norm: NormKind,
    pub(super) norm_eps: f64,
    /// What is added to the gains in the files.
    pub(super) gain_offset: f64,
    /// One for each layer; none where positions are learned.
    pub(super) ropes: Vec<Option<Rope>>,
    /// Keys that a query sees, layer by layer; none for all.
    pub(super) windows: Vec<Option<usize>>,
    /// Whether attention and MLP both read the stream before the block.
    pub(super) parallel: bool,
    /// Whether queries and keys are normed per head.
    pub(super) qk_norm: bool,
    /// Whether what attention and MLP give is normed again.
    pub(super) post_norms: bool,
    /// Factor of attention scores.
    pub(super) attention_scale: f64,
    pub(super) attention_softcap: Option<f64>,
    pub(super) final_softcap: Option<f64>,
    pub(super) activation: Activation,
    pub(super) gated: bool,
    /// Whether the unembedding is the embedding.
    pub(super) tied: bool,
    /// Factor of embeddings.
    pub(super) embedding_scale: Option<f64>,
}

/// Name of the file.
const FILE: &str = "config.json";

impl Config {
    /// Values of a position at `place`; none for attention weights, of which there are as many as positions.
    pub fn width(&self, place: Place) -> Option<usize> {
        match place {
            Place::Pattern => None,
            Place::Query | Place::Z => Some(self.n_heads * self.d_head),
            Place::Key | Place::Value => Some(self.n_kv_heads * self.d_head),
            Place::MlpPre | Place::MlpPreLinear | Place::MlpPost => Some(self.d_mlp),
            Place::Logits => Some(self.d_vocab),
            _ => Some(self.d_model),
        }
    }

    /// Whether the model's forward pass comes by `point`.
    pub fn has(&self, point: Point) -> bool {
        let is_there = match point.place {
            Place::Embed | Place::FinalNormalized | Place::Logits => return point.layer == 0,
            Place::PosEmbed => return point.layer == 0 && self.ropes.iter().all(Option::is_none),
            Place::ResidMid => !self.parallel,
            Place::MlpPreLinear => self.gated,
            _ => true,
        };
        is_there && point.layer < self.n_layers
    }

    /// Reads `config.json` in a model's directory.
    ///
    /// # Errors
    /// `Io` if the file is not there, `BadFile` if it makes no sense, `Unsupported` for a family that is not known.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("{}: {error}", path.display()))
                .with_hint("a model's directory has Hugging Face's config.json, model.safetensors and tokenizer.json")
        })?;
        Self::parse(&text).map_err(|error| error.within(path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| Error::new(ErrorKind::BadFile, format!("not JSON: {error}")))?;
        let fields = Fields::of(&json);
        let name = fields.text("model_type")?;
        // The text part of a model that also sees.
        let nested = json.get("text_config").filter(|_| name == "gemma3");
        let (name, fields) = match nested {
            Some(nested) => ("gemma3_text", Fields::of(nested)),
            None => (name, fields),
        };
        let config = families::config(Family::named(name)?, &fields)?;
        config.check()
    }

    /// Refuses what would divide by zero or not fit together later.
    fn check(self) -> Result<Self> {
        let bad = |what: &str| Err(Error::new(ErrorKind::BadFile, what.to_owned()));
        let sizes = [
            self.n_layers,
            self.d_model,
            self.n_heads,
            self.n_kv_heads,
            self.d_head,
            self.d_mlp,
            self.d_vocab,
            self.n_ctx,
        ];
        if sizes.contains(&0) {
            return bad("a size is 0");
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return bad("the number of heads is no multiple of the number of key heads");
        }
        if self.ropes.len() != self.n_layers || self.windows.len() != self.n_layers {
            return bad("the kinds of layers are not as many as the layers");
        }
        Ok(self)
    }
}

/// Fields of a configuration, read with errors that name them.
pub(crate) struct Fields<'a> {
    json: &'a Value,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(json: &'a Value) -> Self {
        Self { json }
    }

    /// A field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str> {
        self.get(name).and_then(Value::as_str).ok_or_else(|| missing(name, "a text"))
    }

    pub(crate) fn size(&self, name: &str) -> Result<usize> {
        self.size_or_none(name)?.ok_or_else(|| missing(name, "a whole number"))
    }

    pub(crate) fn size_or_none(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|value| usize::try_from(value).ok());
        size.map(Some).ok_or_else(|| missing(name, "a whole number"))
    }

    pub(crate) fn number_or(&self, name: &str, otherwise: f64) -> Result<f64> {
        match self.get(name) {
            Some(value) => value.as_f64().ok_or_else(|| missing(name, "a number")),
            None => Ok(otherwise),
        }
    }

    pub(crate) fn number_or_none(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    pub(crate) fn flag_or(&self, name: &str, otherwise: bool) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(otherwise)
    }

    /// A nested object.
    pub(crate) fn nested(&self, name: &str) -> Option<Self> {
        self.get(name).filter(|value| value.is_object()).map(|json| Self { json })
    }

    /// The activation function that a field names.
    pub(crate) fn activation(&self, name: &str) -> Result<Activation> {
        match self.text(name)? {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            "silu" | "swish" => Ok(Activation::Silu),
            "relu" => Ok(Activation::Relu),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{name}: the activation function {other:?} is not known"),
            )),
        }
    }
}

fn missing(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::BadFile, format!("{name} is missing or is not {what}"))
}

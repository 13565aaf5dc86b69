//! What a source says about itself: its shape, where it reads, and what was done to it on loading.

use std::fmt;

use candle_core::Device;
use serde_json::{Map, Value};

use super::architecture::Architecture;
use super::formats::Format;
use crate::{Error, ErrorKind, Point, Result};

/// What is done to each position before it is encoded, and undone after it is decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Normalization {
    /// Nothing; also what is left of a normalisation that was folded into the weights.
    None,
    /// `x · √d_in / ‖x‖`.
    ConstantNorm,
    /// `(x − mean) / (sd + 1e-5)`, with the standard deviation that divides by `d_in − 1`.
    LayerNorm,
    /// `x · factor`, the same factor for every position.
    ConstantScalar(f64),
}

impl Normalization {
    /// SAELens' name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ConstantNorm => "constant_norm_rescale",
            Self::LayerNorm => "layer_norm",
            Self::ConstantScalar(_) => "constant_scalar_rescale",
        }
    }
}

/// What a loaded source is.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which of the published architectures it has.
    pub architecture: Architecture,
    /// Which format its files had; `None` for neurons.
    pub format: Option<Format>,
    /// Width of what it reads.
    pub d_in: usize,
    /// Number of features.
    pub d_sae: usize,
    /// Width of what it writes; `d_in` unless it is a transcoder.
    pub d_out: usize,
    /// Where it reads.
    pub point: Point,
    /// What it predicts, if that is another point than the one it reads.
    pub output_point: Option<Point>,
    /// Whether the decoder's bias is subtracted from the input.
    pub apply_b_dec_to_input: bool,
    /// What is done at run time to each position.
    pub normalization: Normalization,
    /// Features kept at each position, where the architecture fixes it.
    pub k: Option<usize>,
    /// Whether the decoder's norms were folded into the encoder: features are then `‖W_dec_i‖` times as large and
    /// the decoder's rows have length 1.
    pub folded: bool,
    /// Whether decoding restores an activation. False for one layer of a cross-layer transcoder: its decoder here
    /// is the sum of what it writes to all later layers.
    pub reconstructs: bool,
    /// Name of the model it was trained on, if the files say.
    pub model_name: Option<String>,
    /// Neuronpedia's `model/source`, if the files say.
    pub neuronpedia_id: Option<String>,
    /// Whether its training prepended the BOS token, if the files say.
    pub prepend_bos: Option<bool>,
    /// Tokens in a training context, if the files say.
    pub context_size: Option<usize>,
    /// Everything else that the files say.
    pub metadata: Map<String, Value>,
}

/// How to open a source.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Where its weights live.
    pub device: Device,
    /// Folds the decoder's norms into the encoder where the architecture allows it. True gives the numbers of
    /// Neuronpedia's live server, false those of plain SAELens.
    pub fold_decoder_norm: bool,
    /// What the files do not say.
    pub hints: Hints,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, fold_decoder_norm: true, hints: Hints::default() }
    }
}

/// What a source's files may leave out. What is given here wins over what the files and their names say.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The format, instead of detecting it from the files present.
    pub format: Option<Format>,
    /// Factor that `expected_average_only_in` folds into the weights (`norm_scaling_factor` of SAELens' list).
    pub norm_scaling_factor: Option<f64>,
    /// Where the source reads.
    pub point: Option<Point>,
    /// What a transcoder predicts.
    pub output_point: Option<Point>,
    /// Name of the hook it reads, as in SAELens' configurations; used if `point` is not given.
    pub hook_name: Option<String>,
    /// Features kept at each position.
    pub k: Option<usize>,
    /// Layer, where only a repository's folder name would tell.
    pub layer: Option<usize>,
    /// Model it was trained on.
    pub model_name: Option<String>,
    /// Neuronpedia's `model/source`.
    pub neuronpedia_id: Option<String>,
    /// Keys that replace those of the source's own configuration (`config_overrides` of SAELens' list).
    pub config_overrides: Map<String, Value>,
}

impl Hints {
    /// The point given, under whichever name.
    pub(super) fn point(&self) -> Result<Option<Point>> {
        match (self.point, &self.hook_name) {
            (Some(point), _) => Ok(Some(point)),
            (None, Some(name)) => name.parse().map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Keys of a JSON or YAML configuration, read with errors that name the file and the key.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    file: String,
    map: Map<String, Value>,
}

impl Settings {
    /// Settings read from `file`, with `overrides` laid over them.
    pub(super) fn new(file: impl fmt::Display, value: Value, overrides: &Map<String, Value>) -> Result<Self> {
        let file = file.to_string();
        let Value::Object(mut map) = value else {
            return Err(Error::new(ErrorKind::BadFile, format!("{file}: expected a mapping of settings")));
        };
        map.extend(overrides.clone());
        Ok(Self { file, map })
    }

    pub(super) fn map(&self) -> &Map<String, Value> {
        &self.map
    }

    pub(super) fn map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.map
    }

    /// The value of `key`, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Settings nested under `key`.
    pub(super) fn nested(&self, key: &str) -> Result<Self> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        Self::new(format!("{}: {key}", self.file), value.clone(), &Map::new())
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a text"))).transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|value| value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))).transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|value| value.as_f64().ok_or_else(|| self.wrong(key, "a number"))).transpose()
    }

    /// A count; `4.0` counts as 4, since some trainers write their integers so.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        self.get(key)
            .map(|value| {
                let exact = value.as_u64().and_then(|count| usize::try_from(count).ok());
                let whole = value.as_f64().filter(|v| v.fract() == 0.0 && (0.0..1e15).contains(v)).map(|v| v as usize);
                exact.or(whole).ok_or_else(|| self.wrong(key, "a whole number that is not negative"))
            })
            .transpose()
    }

    pub(super) fn required_text(&self, key: &str) -> Result<&str> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_count(&self, key: &str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn required_number(&self, key: &str) -> Result<f64> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    /// An error about this file.
    pub(super) fn error(&self, kind: ErrorKind, message: impl fmt::Display) -> Error {
        Error::new(kind, format!("{}: {message}", self.file))
    }

    fn missing(&self, key: &str) -> Error {
        self.error(ErrorKind::BadFile, format!("{key} is missing"))
            .with_hint(format!("download the file again, or give {key} as a configuration override"))
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.map.get(key).cloned().unwrap_or_default();
        self.error(ErrorKind::BadFile, format!("{key} must be {expected}, and is {found}"))
    }
}

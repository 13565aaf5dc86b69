//! The published formats: one file for the reading of each, and what they share.
//!
//! A format is turned into a configuration and tensors in SAELens' terms, and goes the way of SAELens' own format
//! from there; where a format's own library computes something else, its file says so.

mod circuit_tracer;
mod connor_rob;
mod cross_layer;
mod deepseek;
mod detect;
mod dictionary_learning;
mod gemma_scope;
mod gemma_scope_2;
mod goodfire;
mod llama_scope;
mod mwhanna;
mod pre6;
mod qwen_scope;
mod saelens;
mod sparsify;
mod temporal;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use super::config::{Hints, Settings};
use super::tensors::{Named, TensorFile, io_error};
use super::weights::Draft;
use crate::{Error, ErrorKind, Result};

/// How a source's files are laid out. Names are those of SAELens' conversions where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// SAELens' own: `cfg.json`, `sae_weights.safetensors`.
    SaeLens,
    /// Gemma Scope: `params.npz`.
    GemmaScope,
    /// Gemma Scope's transcoders: `params.npz`.
    GemmaScopeTranscoder,
    /// Gemma Scope 2: `params.safetensors`, `config.json`.
    GemmaScope2,
    /// Llama Scope: `hyperparams.json`, `checkpoints/final.safetensors`.
    LlamaScope,
    /// Llama Scope for R1's distilled models: `config.json`, `sae_weights.safetensors`.
    LlamaScopeR1Distill,
    /// The library dictionary_learning: `ae.pt`, `config.json`.
    DictionaryLearning,
    /// One `.pt` with `encoder.weight` and `decoder.weight`.
    DeepseekR1,
    /// One `.pt` or `.pth` with `encoder_linear.weight` and `decoder_linear.weight`.
    Goodfire,
    /// `layer{n}.sae.pt`.
    QwenScope,
    /// `{name}.pt` and `{name}_cfg.json`, on attention heads' outputs.
    ConnorRob,
    /// `layer_{n}.safetensors` beside `wandb-config.yaml`.
    MwhannaTranscoder,
    /// A layer of a cross-layer transcoder: `W_enc_{n}.safetensors`, `W_dec_{n}.safetensors`.
    CrossLayerTranscoder,
    /// Temporal SAEs: `conf.yaml`, `latest_ckpt.safetensors`.
    Temporal,
    /// EleutherAI's sparsify: `cfg.json`, `sae.safetensors`.
    Sparsify,
    /// A layer of a circuit-tracer set: `layer_{n}.safetensors` beside `config.yaml`.
    CircuitTracer,
}

const NAMES: &[(Format, &str)] = &[
    (Format::SaeLens, "sae_lens"),
    (Format::GemmaScope, "gemma_2"),
    (Format::GemmaScopeTranscoder, "gemma_2_transcoder"),
    (Format::GemmaScope2, "gemma_3"),
    (Format::LlamaScope, "llama_scope"),
    (Format::LlamaScopeR1Distill, "llama_scope_r1_distill"),
    (Format::DictionaryLearning, "dictionary_learning_1"),
    (Format::DeepseekR1, "deepseek_r1"),
    (Format::Goodfire, "goodfire"),
    (Format::QwenScope, "qwen_scope"),
    (Format::ConnorRob, "connor_rob_hook_z"),
    (Format::MwhannaTranscoder, "mwhanna_transcoder"),
    (Format::CrossLayerTranscoder, "mntss_clt_layer_transcoder"),
    (Format::Temporal, "temporal"),
    (Format::Sparsify, "sparsify"),
    (Format::CircuitTracer, "circuit_tracer"),
];

impl Format {
    /// Its name in SAELens' list of pretrained sources.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(known, _)| *known == self).map_or("unknown", |(_, name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(known, _)| *known).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::new(ErrorKind::Unsupported, format!("there is no format {text:?} of sources"))
                .with_hint(format!("known are {}", known.join(", ")))
        })
    }
}

/// Reads the source at `path` in the format that the hints name, or else the one its files have.
pub(super) fn read(path: &Path, hints: &Hints) -> Result<Draft> {
    if !path.exists() {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: no such file or folder", path.display())));
    }
    let format = match hints.format {
        Some(format) => format,
        None => detect::format(path)?,
    };
    let files = Files { path, hints };
    match format {
        Format::SaeLens => saelens::read(files.folder(), hints),
        Format::GemmaScope => gemma_scope::read(&files),
        Format::GemmaScopeTranscoder => gemma_scope::read_transcoder(&files),
        Format::GemmaScope2 => gemma_scope_2::read(&files),
        Format::LlamaScope => llama_scope::read(&files),
        Format::LlamaScopeR1Distill => llama_scope::read_distilled(&files),
        Format::DictionaryLearning => dictionary_learning::read(&files),
        Format::DeepseekR1 => deepseek::read(&files),
        Format::Goodfire => goodfire::read(&files),
        Format::QwenScope => qwen_scope::read(&files),
        Format::ConnorRob => connor_rob::read(&files),
        Format::MwhannaTranscoder => mwhanna::read(&files),
        Format::CrossLayerTranscoder => cross_layer::read(&files),
        Format::Temporal => temporal::read(&files),
        Format::Sparsify => sparsify::read(&files),
        Format::CircuitTracer => circuit_tracer::read(&files),
    }
}

/// What was opened, and what was said about it.
#[derive(Debug, Clone, Copy)]
struct Files<'a> {
    path: &'a Path,
    hints: &'a Hints,
}

/// A tensor's name in SAELens, the names it may have in a file, and whether it is transposed there.
type Mapping<'a> = &'a [(&'a str, &'a [&'a str], bool)];

impl<'a> Files<'a> {
    /// The folder that was opened, or that the opened file lies in.
    fn folder(&self) -> &'a Path {
        match self.path.is_dir() {
            true => self.path,
            false => self.path.parent().unwrap_or(self.path),
        }
    }

    /// The file that was opened, or the one of this name in the folder.
    fn file(&self, name: &str) -> PathBuf {
        match self.path.is_dir() {
            true => self.path.join(name),
            false => self.path.to_path_buf(),
        }
    }

    /// The last name in the path that holds a number after `prefix`, as its number: `layer_12` with `layer_` is 12.
    fn number_after(&self, prefix: &str) -> Option<usize> {
        self.path.iter().rev().find_map(|part| number_after(&part.to_string_lossy(), prefix))
    }

    /// The layer, as hinted, or else as the path tells after one of `prefixes`.
    fn layer(&self, prefixes: &[&str]) -> Result<usize> {
        let named = || prefixes.iter().find_map(|prefix| self.number_after(prefix));
        self.hints.layer.or_else(named).ok_or_else(|| self.untold("which layer the source belongs to", "layer"))
    }

    /// Whether a name in the path has `word` as one of its parts: `gemma-scope-2b-pt-res` has `res`.
    fn path_says(&self, word: &str) -> bool {
        self.path.iter().any(|part| part.to_string_lossy().split(['-', '_', '.', ' ']).any(|piece| piece == word))
    }

    /// Whether the caller says where the source reads, so that the files need not.
    fn is_point_given(&self) -> bool {
        self.hints.point.is_some() || self.hints.hook_name.is_some()
    }

    /// Settings in SAELens' terms.
    fn settings(&self, value: Value) -> Result<Settings> {
        Settings::new(self.path.display(), value, &self.hints.config_overrides)
    }

    /// A draft from settings and tensors in SAELens' terms.
    fn draft(&self, value: Value, tensors: BTreeMap<String, Named>, format: Format) -> Result<Draft> {
        saelens::draft(&self.settings(value)?, tensors, format, self.hints)
    }

    fn untold(&self, what: &str, hint: &str) -> Error {
        Error::new(ErrorKind::InvalidInput, format!("{}: neither files nor path tell {what}", self.path.display()))
            .with_hint(format!("give the {hint}"))
    }
}

fn number_after(text: &str, prefix: &str) -> Option<usize> {
    text.match_indices(prefix).find_map(|(at, _)| {
        let digits: String = text.get(at + prefix.len()..)?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// The tensors of `mapping`, under SAELens' names and in its orientation.
fn mapped(file: &TensorFile, mapping: Mapping<'_>) -> Result<BTreeMap<String, Named>> {
    let one = |(name, in_file, is_transposed): &(&str, &[&str], bool)| {
        let tensor = file.get_any(in_file)?;
        Ok(((*name).to_string(), if *is_transposed { tensor.t()? } else { tensor }))
    };
    mapping.iter().map(one).collect()
}

/// `(d_in, d_sae, d_out)` of matrices in SAELens' orientation; what does not fit together is found later.
fn widths(tensors: &BTreeMap<String, Named>) -> Result<(usize, usize, usize)> {
    let dims = |name: &str| match tensors.get(name) {
        Some(tensor) => tensor.dims2(),
        None => Err(Error::new(ErrorKind::Internal, format!("a format without {name}"))),
    };
    let (d_in, d_sae) = dims("W_enc")?;
    Ok((d_in, d_sae, dims("W_dec")?.1))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: not JSON: {error}", path.display())))
}

fn read_yaml(path: &Path) -> Result<Value> {
    let text = read_text(path)?;
    serde_norway::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: not YAML: {error}", path.display())))
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| io_error(&error).within(path.display()))
}

/// Settings of a file, without overrides: those are in SAELens' terms.
fn file_settings(path: &Path, value: Value) -> Result<Settings> {
    Settings::new(path.display(), value, &serde_json::Map::new())
}

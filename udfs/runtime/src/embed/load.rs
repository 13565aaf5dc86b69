//! An encoder's tensors, by the names that Hugging Face's BERT gives them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::config::Config;
use super::encoder::{Embeddings, Encoder, Layer};
use crate::model::{Linear, Norm, NormKind};
use crate::source::TensorFile;
use crate::{Error, ErrorKind, Result};

/// Files that weights may be in, the better one first.
const FILES: &[&str] = &["model.safetensors", "pytorch_model.bin"];
/// What may stand in front of every name.
const PREFIXES: &[&str] = &["", "bert."];

/// The file that a directory's weights are in.
pub(super) fn weights_file(directory: &Path) -> Result<PathBuf> {
    let found = FILES.iter().map(|name| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let names = FILES.join(" nor ");
        Error::new(ErrorKind::Io, format!("{}: there is neither {names}", directory.display()))
            .with_hint("an encoder's weights are in one file; weights in shards, ONNX and TensorFlow are not read")
    })
}

/// Loads an encoder from its weights.
pub(super) fn encoder(path: &Path, config: &Config, device: &Device) -> Result<Encoder> {
    let file = TensorFile::open(path)?;
    let first = "embeddings.word_embeddings.weight";
    let prefix = PREFIXES.iter().find(|prefix| file.has(&format!("{prefix}{first}"))).unwrap_or(&"");
    let tensors = Tensors { file: &file, prefix, config, device };
    Ok(Encoder {
        embeddings: tensors.embeddings()?,
        layers: (0..config.n_layers).map(|number| tensors.layer(number)).collect::<Result<_>>()?,
        device: device.clone(),
    })
}

struct Tensors<'a> {
    file: &'a TensorFile,
    prefix: &'a str,
    config: &'a Config,
    device: &'a Device,
}

impl Tensors<'_> {
    fn embeddings(&self) -> Result<Embeddings> {
        let Config { width, d_vocab, n_positions, n_types, .. } = *self.config;
        let table =
            |name: &str, rows: usize| self.tensor(&[format!("embeddings.{name}_embeddings.weight")], &[rows, width]);
        // Every token is of the first type, so that its embedding may be added to those of positions once for all.
        let first_type = table("token_type", n_types)?.narrow(0, 0, 1)?;
        Ok(Embeddings {
            words: table("word", d_vocab)?,
            positions: table("position", n_positions)?.broadcast_add(&first_type)?,
            norm: self.norm("embeddings.LayerNorm")?,
        })
    }

    fn layer(&self, number: usize) -> Result<Layer> {
        let Config { width, d_mlp, n_heads, activation, .. } = *self.config;
        let within = |name: &str| format!("encoder.layer.{number}.{name}");
        let parts = ["query", "key", "value"].map(|part| within(&format!("attention.self.{part}")));
        let weights = parts.iter().map(|part| self.weight(part, width, width)).collect::<Result<Vec<_>>>()?;
        let biases = parts.iter().map(|part| self.bias(part, width)).collect::<Result<Vec<_>>>()?;
        Ok(Layer {
            heads: n_heads,
            qkv: Linear::from_rows(&Tensor::cat(&weights, 0)?, Some(Tensor::cat(&biases, 0)?))?,
            out: self.linear(&within("attention.output.dense"), width, width)?,
            attention_norm: self.norm(&within("attention.output.LayerNorm"))?,
            up: self.linear(&within("intermediate.dense"), d_mlp, width)?,
            activation,
            down: self.linear(&within("output.dense"), width, d_mlp)?,
            mlp_norm: self.norm(&within("output.LayerNorm"))?,
        })
    }

    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        Linear::from_rows(&self.weight(name, outputs, inputs)?, Some(self.bias(name, outputs)?))
    }

    fn weight(&self, name: &str, outputs: usize, inputs: usize) -> Result<Tensor> {
        self.tensor(&[format!("{name}.weight")], &[outputs, inputs])
    }

    fn bias(&self, name: &str, outputs: usize) -> Result<Tensor> {
        self.tensor(&[format!("{name}.bias")], &[outputs])
    }

    /// A norm, under its name of today or under that of the first BERTs.
    fn norm(&self, name: &str) -> Result<Norm> {
        let shape = [self.config.width];
        let gain = self.tensor(&[format!("{name}.weight"), format!("{name}.gamma")], &shape)?;
        let bias = self.tensor(&[format!("{name}.bias"), format!("{name}.beta")], &shape)?;
        Norm::new(NormKind::Layer, self.config.norm_eps, &gain, 0.0, Some(&bias))
    }

    /// The first of `names` that the file has, which must have this shape.
    fn tensor(&self, names: &[String], shape: &[usize]) -> Result<Tensor> {
        let full: Vec<String> = names.iter().map(|name| format!("{}{name}", self.prefix)).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        self.file.get_any(&full)?.checked(shape, self.device)
    }
}

//! A model's safetensors files, mapped into memory; tensors by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use crate::{Error, ErrorKind, Result};

/// The tensors of a model, read when asked for.
pub(super) struct Weights {
    files: MmapedSafetensors,
    /// What stands in front of every name outside the head: `transformer.`, `model.`, …
    prefix: String,
    place: PathBuf,
    device: Device,
    dtype: DType,
}

/// Prefixes that the base model's tensors may have.
const PREFIXES: &[&str] =
    &["", "transformer.", "gpt_neox.", "model.", "language_model.model.", "model.language_model."];

/// A tensor that every model has, by each family's name for it.
const EMBEDDINGS: &[&str] = &["wte.weight", "embed_in.weight", "embed_tokens.weight"];

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Opens the files in a model's directory. Tensors come as `dtype`, or as they are stored.
    pub(super) fn open(directory: &Path, device: &Device, dtype: Option<DType>) -> Result<Self> {
        let paths = paths(directory)?;
        let files = map(&paths)?;
        let names: Vec<String> = files.tensors().into_iter().map(|(name, _)| name).collect();
        let is_embedding = |prefix: &str| {
            names.iter().any(|name| name.strip_prefix(prefix).is_some_and(|rest| EMBEDDINGS.contains(&rest)))
        };
        let prefix = PREFIXES.iter().find(|prefix| is_embedding(prefix)).ok_or_else(|| {
            Error::new(ErrorKind::BadFile, format!("{}: no tensor is the token embedding", directory.display()))
                .with_hint("the files of a language model have one of wte.weight, embed_in.weight, embed_tokens.weight")
        })?;
        let mut weights = Self {
            files,
            prefix: (*prefix).to_owned(),
            place: directory.to_owned(),
            device: device.clone(),
            dtype: DType::F32,
        };
        weights.dtype = match dtype {
            Some(dtype) => dtype,
            None => weights.stored_dtype()?,
        };
        Ok(weights)
    }

    /// Number type of the embedding in the file.
    fn stored_dtype(&self) -> Result<DType> {
        let view = EMBEDDINGS.iter().find_map(|name| self.files.get(&format!("{}{name}", self.prefix)).ok());
        let view = view.ok_or_else(|| Error::new(ErrorKind::Internal, "the embedding that was found is gone"))?;
        Ok(view.dtype().try_into()?)
    }

    /// Number type that tensors come in.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    /// The tensor `name`, which has to have this shape.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.exact(name, shape)?.to_dtype(self.dtype)?)
    }

    /// The tensor `name` if there is one.
    pub(super) fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        if self.full_name(name).is_some() { self.tensor(name, shape).map(Some) } else { Ok(None) }
    }

    /// The tensor `name` in the number type that it is stored in.
    pub(super) fn exact(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let full = self.full_name(name).ok_or_else(|| {
            Error::new(ErrorKind::BadFile, format!("{}: tensor {name} is missing", self.place.display()))
                .with_hint("the weights are not complete, or config.json is another model's")
        })?;
        let tensor = self.files.load(&full, &self.device).map_err(|error| {
            Error::new(ErrorKind::BadFile, format!("{}: tensor {full} cannot be read: {error}", self.place.display()))
        })?;
        if tensor.dims() != shape {
            return Err(Error::new(
                ErrorKind::BadFile,
                format!(
                    "{}: tensor {full} has shape {:?}, and config.json makes it {shape:?}",
                    self.place.display(),
                    tensor.dims()
                ),
            )
            .with_hint("the weights and config.json are of different models"));
        }
        Ok(tensor)
    }

    /// As [`exact`](Self::exact), for a tensor that may not be there.
    pub(super) fn optional_exact(&self, name: &str, shape: &[usize]) -> Result<Option<Tensor>> {
        if self.full_name(name).is_some() { self.exact(name, shape).map(Some) } else { Ok(None) }
    }

    /// A tensor's name in the files: with the prefix, or without it, as the head's is.
    fn full_name(&self, name: &str) -> Option<String> {
        let prefixed = format!("{}{name}", self.prefix);
        let outside = self.prefix.replace("model.", "");
        [prefixed, name.to_owned(), format!("{outside}{name}")].into_iter().find(|full| self.files.get(full).is_ok())
    }
}

/// The files that a directory's weights are in.
fn paths(directory: &Path) -> Result<Vec<PathBuf>> {
    let single = directory.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = directory.join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&index).map_err(|_| {
        Error::new(ErrorKind::Io, format!("{}: there is neither model.safetensors nor its index", directory.display()))
            .with_hint("weights in PyTorch's own format can be saved anew with safe_serialization=True")
    })?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: {error}", index.display())))?;
    let mut names: Vec<String> = index.weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    let paths: Vec<PathBuf> = names.into_iter().map(|name| directory.join(name)).collect();
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        return Err(Error::new(ErrorKind::Io, format!("{}: the file is missing", missing.display()))
            .with_hint("model.safetensors.index.json names it; download all of the shards"));
    }
    Ok(paths)
}

/// Maps the files, one after another first, so that an error names its file.
fn map(paths: &[PathBuf]) -> Result<MmapedSafetensors> {
    for path in paths {
        // SAFETY: the map lives while this line does; see below for what is asked of the file.
        #[allow(unsafe_code)]
        let mapped = unsafe { MmapedSafetensors::new(path) };
        mapped.map_err(|error| {
            Error::new(ErrorKind::BadFile, format!("{}: not a whole safetensors file: {error}", path.display()))
                .with_hint("it may have been cut short: download it again")
        })?;
    }
    // SAFETY: a mapped file must not change while it is mapped. Weights are files that are written once; somebody who
    // writes over one while it is being loaded gets wrong numbers or a signal, as with every program that maps files.
    #[allow(unsafe_code)]
    let mapped = unsafe { MmapedSafetensors::multi(paths) };
    Ok(mapped?)
}

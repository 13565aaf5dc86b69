//! Which format a path holds, told by the files that are there.

use std::path::Path;

use super::Format;
use crate::source::tensors::TensorFile;
use crate::{Error, ErrorKind, Result};

/// The format of the source at `path`.
pub(super) fn format(path: &Path) -> Result<Format> {
    match path.is_dir() {
        true => of_folder(path).ok_or_else(|| unknown(path)),
        false => of_file(path),
    }
}

fn of_folder(folder: &Path) -> Option<Format> {
    let has = |name: &str| folder.join(name).is_file();
    let rules = [
        (has("cfg.json") && has("sae.safetensors"), Format::Sparsify),
        (has("cfg.json"), Format::SaeLens),
        (has("hyperparams.json"), Format::LlamaScope),
        (has("config.json") && has("sae_weights.safetensors"), Format::LlamaScopeR1Distill),
        (has("params.npz"), gemma_scope(folder)),
        (has("params.safetensors"), Format::GemmaScope2),
        (has("ae.pt"), Format::DictionaryLearning),
        (has("conf.yaml"), Format::Temporal),
        (has_any(folder, "W_enc_"), Format::CrossLayerTranscoder),
        (has("wandb-config.yaml") || has("wanb-config.yaml"), Format::MwhannaTranscoder),
        (has("config.yaml") && has_any(folder, "layer_"), Format::CircuitTracer),
    ];
    rules.into_iter().find(|(applies, _)| *applies).map(|(_, format)| format)
}

fn of_file(path: &Path) -> Result<Format> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().unwrap_or(path);
    let is_pickle = name.ends_with(".pt") || name.ends_with(".pth");
    if name.ends_with(".sae.pt") {
        return Ok(Format::QwenScope);
    }
    if is_pickle && name != "ae.pt" {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        return match folder.join(format!("{stem}_cfg.json")).is_file() {
            true => Ok(Format::ConnorRob),
            false => of_pickle(path),
        };
    }
    if name.ends_with(".npz") {
        return Ok(gemma_scope(folder));
    }
    if name.starts_with("W_enc_") {
        return Ok(Format::CrossLayerTranscoder);
    }
    if let Some(format) = of_folder(folder) {
        return Ok(format);
    }
    let file = TensorFile::open(path)?;
    match file.has("w_enc") {
        true => Ok(Format::GemmaScope2),
        false => Err(unknown(path)),
    }
}

/// A lone pickle tells by its tensors' names.
fn of_pickle(path: &Path) -> Result<Format> {
    let file = TensorFile::open(path)?;
    let rules = [("encoder_linear.weight", Format::Goodfire), ("encoder.weight", Format::DeepseekR1)];
    let format = rules.into_iter().find(|(name, _)| file.has(name)).map(|(_, format)| format);
    format.ok_or_else(|| unknown(path))
}

fn gemma_scope(folder: &Path) -> Format {
    let is_transcoder = folder.iter().any(|part| part.to_string_lossy().contains("transcoder"));
    if is_transcoder { Format::GemmaScopeTranscoder } else { Format::GemmaScope }
}

fn has_any(folder: &Path, prefix: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(".safetensors")
    })
}

fn unknown(path: &Path) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{}: no format of sources is recognised", path.display()))
        .with_hint("open the folder that holds the configuration, or name the format")
}

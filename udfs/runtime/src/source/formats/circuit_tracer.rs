//! A layer of a circuit-tracer transcoder set: `layer_{n}.safetensors` beside `config.yaml`.
//!
//! Its activation functions are not rectified: a negative value that passes a negative threshold, or is among the k
//! largest, stays.

use serde_json::json;

use super::super::architecture::Architecture;
use super::super::config::Settings;
use super::super::encode::Activation;
use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, file_settings, mapped, read_yaml, widths};
use crate::{ErrorKind, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["W_enc"], true),
    ("W_dec", &["W_dec"], false),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
];

/// Reads one layer.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let layer = files.layer(&["layer_"])?;
    let path = files.folder().join("config.yaml");
    let config = file_settings(&path, read_yaml(&path)?)?;
    let file = TensorFile::open(&files.file(&format!("layer_{layer}.safetensors")))?;
    let mut tensors = mapped(&file, TENSORS)?;
    let threshold = file.find("activation_function.threshold")?;
    let skip = file.find("W_skip")?;
    let k = file.find("k")?.map(|k| k.scalar()).transpose()?.or(config.number("k")?);
    let function = function(&config, threshold.is_some(), k.is_some() || files.hints.k.is_some())?;
    let architecture = function.as_transcoder(skip.is_some());
    let (d_in, d_sae, d_out) = widths(&tensors)?;
    tensors.extend(threshold.map(|tensor| ("threshold".to_string(), tensor)));
    tensors.extend(skip.map(|tensor| ("W_skip".to_string(), tensor)));
    let hook = |key: &str| Ok::<_, crate::Error>(format!("blocks.{layer}.{}", config.required_text(key)?));
    let settings = json!({
        "architecture": architecture.name(), "d_in": d_in, "d_sae": d_sae, "d_out": d_out, "k": k,
        "model_name": config.text("model_name")?,
        "hook_name": hook("feature_input_hook")?, "hook_name_out": hook("feature_output_hook")?,
    });
    let mut draft = files.draft(settings, tensors, Format::CircuitTracer)?;
    match &mut draft.activation {
        Activation::JumpRelu { is_rectified } => *is_rectified = false,
        Activation::TopK(topk) => topk.keeps_negative = true,
        _ => {}
    }
    Ok(draft)
}

/// The activation function: as the configuration says, or else as the tensors tell.
fn function(config: &Settings, has_threshold: bool, has_k: bool) -> Result<Architecture> {
    match config.text("activation")? {
        Some("topk") => Ok(Architecture::TopK),
        Some("relu") | None if has_threshold => Ok(Architecture::JumpRelu),
        None if has_k => Ok(Architecture::TopK),
        Some("relu") | None => Ok(Architecture::Standard),
        Some("jumprelu" | "jump_relu") => Ok(Architecture::JumpRelu),
        Some(other) => Err(config.error(ErrorKind::Unsupported, format!("there is no activation function {other:?}"))),
    }
}

//! Hanna's transcoders for Qwen 3: `layer_{n}.safetensors`, with `config.yaml` and `wandb-config.yaml` beside them.

use serde_json::{Value, json};

use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, mapped, read_yaml, widths};
use crate::{Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["W_enc"], true),
    ("W_dec", &["W_dec"], false),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
];

/// Reads a transcoder, which reads the MLP's input and predicts what the MLP adds to the residual stream.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let layer = files.layer(&["layer_"])?;
    let tensors = mapped(&TensorFile::open(&files.file(&format!("layer_{layer}.safetensors")))?, TENSORS)?;
    let (d_in, d_sae, d_out) = widths(&tensors)?;
    let path = files.folder().join("config.yaml");
    let config = if path.is_file() { read_yaml(&path)? } else { Value::Null };
    let settings = json!({
        "architecture": "transcoder", "d_in": d_in, "d_sae": d_sae, "d_out": d_out,
        "model_name": config["model_name"],
        "hook_name": Point::new(Place::MlpIn, layer).to_string(),
        "hook_name_out": Point::new(Place::MlpOut, layer).to_string(),
    });
    files.draft(settings, tensors, Format::MwhannaTranscoder)
}

//! A layer of a cross-layer transcoder: `W_enc_{n}.safetensors`, `W_dec_{n}.safetensors` `[F, L − n, d]` and
//! `config.yaml`.
//!
//! Its features are exact. What they write is divided among all later layers; as a source of its own, a layer has the
//! sum of that as its decoder (as SAELens does), and does not reconstruct.

use serde_json::json;

use super::super::encode::Activation;
use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::gemma_scope_2::sum_over_layers;
use super::{Files, Format, file_settings, mapped, read_yaml, widths};
use crate::Result;

/// Reads one layer.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let layer = files.layer(&["W_enc_", "W_dec_"])?;
    let folder = files.folder();
    let encoder = TensorFile::open(&folder.join(format!("W_enc_{layer}.safetensors")))?;
    let name = |name: &str| format!("{name}_{layer}");
    let mut tensors = mapped(
        &encoder,
        &[("W_enc", &[&name("W_enc")], true), ("b_enc", &[&name("b_enc")], false), ("b_dec", &[&name("b_dec")], false)],
    )?;
    let decoder = TensorFile::open(&folder.join(format!("W_dec_{layer}.safetensors")))?.get(&name("W_dec"))?;
    let decoder = if decoder.tensor().rank() == 3 { sum_over_layers(&decoder)? } else { decoder };
    tensors.insert("W_dec".to_string(), decoder);
    let threshold = encoder.find(&name("threshold"))?;
    let architecture = if threshold.is_some() { "jumprelu_transcoder" } else { "transcoder" };
    if let Some(threshold) = threshold {
        tensors.insert("threshold".to_string(), threshold);
    }
    let (d_in, d_sae, d_out) = widths(&tensors)?;
    let path = folder.join("config.yaml");
    let config = file_settings(&path, read_yaml(&path)?)?;
    let hook = |key: &str| Ok::<_, crate::Error>(format!("blocks.{layer}.{}", config.required_text(key)?));
    let settings = json!({
        "architecture": architecture, "d_in": d_in, "d_sae": d_sae, "d_out": d_out,
        "model_name": config.text("model_name")?,
        "hook_name": hook("feature_input_hook")?, "hook_name_out": hook("feature_output_hook")?,
    });
    let mut draft = files.draft(settings, tensors, Format::CrossLayerTranscoder)?;
    draft.config.reconstructs = false;
    if let Activation::JumpRelu { is_rectified } = &mut draft.activation {
        // circuit-tracer's JumpReLU lets a negative value pass a negative threshold.
        *is_rectified = false;
    }
    Ok(draft)
}

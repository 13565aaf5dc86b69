//! Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors`, and its successors for R1's distilled models.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::super::config::Settings;
use super::super::tensors::{Named, TensorFile};
use super::super::weights::Draft;
use super::{Files, Format, Mapping, file_settings, mapped, read_json};
use crate::Result;

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["encoder.weight"], true),
    ("W_dec", &["decoder.weight"], true),
    ("b_enc", &["encoder.bias"], false),
    ("b_dec", &["decoder.bias"], false),
];

/// Reads a source with one threshold for all features, which the configuration gives in the model's own units.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let path = files.folder().join("hyperparams.json");
    let config = file_settings(&path, read_json(&path)?)?;
    let d_in = config.required_count("d_model")?;
    let d_sae = config.required_count("d_sae")?;
    let average = config.nested("dataset_average_activation_norm")?.required_number("in")?;
    let factor = (d_in as f64).sqrt() / average;
    let mut tensors = mapped(&TensorFile::open(&files.folder().join("checkpoints/final.safetensors"))?, TENSORS)?;
    let threshold = config.required_number("jump_relu_threshold")? * factor;
    let threshold = Tensor::full(threshold as f32, d_sae, &Device::Cpu)?;
    insert_like(&mut tensors, "threshold", threshold);
    draft(files, &config, tensors, d_sae, Some(factor), Format::LlamaScope)
}

/// Reads a source with a threshold for each feature.
pub(super) fn read_distilled(files: &Files<'_>) -> Result<Draft> {
    let path = files.folder().join("config.json");
    let config = file_settings(&path, read_json(&path)?)?;
    let d_in = config.required_count("d_model")?;
    let d_sae = d_in.saturating_mul(config.required_count("expansion_factor")?);
    let file = TensorFile::open(&files.folder().join("sae_weights.safetensors"))?;
    let mut tensors = mapped(&file, TENSORS)?;
    let logarithm = file.get("log_jumprelu_threshold")?;
    tensors.insert("threshold".to_string(), logarithm.derived(logarithm.tensor().exp()?));
    let norms = config.get("dataset_average_activation_norm").cloned().unwrap_or_default();
    let average = norms.get("in").or_else(|| norms.get(config.text("hook_point_in").ok()??)).and_then(Value::as_f64);
    let factor = average.map(|average| (d_in as f64).sqrt() / average);
    draft(files, &config, tensors, d_sae, factor, Format::LlamaScopeR1Distill)
}

fn draft(
    files: &Files<'_>,
    config: &Settings,
    tensors: BTreeMap<String, Named>,
    d_sae: usize,
    factor: Option<f64>,
    format: Format,
) -> Result<Draft> {
    let input = config.required_text("hook_point_in")?;
    let output = config.text("hook_point_out")?.filter(|output| *output != input);
    let settings = json!({
        "architecture": "jumprelu", "d_in": config.required_count("d_model")?, "d_sae": d_sae,
        "apply_b_dec_to_input": false, "prepend_bos": true, "context_size": 1024,
        "normalize_activations": "expected_average_only_in", "norm_scaling_factor": factor,
        "hook_name": input, "hook_name_out": output,
    });
    let mut draft = files.draft(settings, tensors, format)?;
    // Its transcoders are scaled by another norm on the way out, which is not undone here.
    draft.config.reconstructs = output.is_none();
    Ok(draft)
}

/// Adds a tensor that the file's other tensors imply.
fn insert_like(tensors: &mut BTreeMap<String, Named>, name: &str, tensor: Tensor) {
    if let Some(derived) = tensors.get("b_enc").map(|bias| bias.derived(tensor)) {
        tensors.insert(name.to_string(), derived);
    }
}

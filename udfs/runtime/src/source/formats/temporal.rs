//! Temporal SAEs as their authors publish them: `conf.yaml` and `latest_ckpt.safetensors`.

use serde_json::json;

use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, file_settings, mapped, read_yaml};
use crate::{Place, Point, Result};

/// Reads a source.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let path = files.folder().join("conf.yaml");
    let config = file_settings(&path, read_yaml(&path)?)?;
    let (model, sae) = (config.nested("llm")?, config.nested("sae")?);
    let file = TensorFile::open(&files.folder().join("latest_ckpt.safetensors"))?;
    let mut tensors = mapped(&file, &[("W_dec", &["D"], false), ("b_dec", &["b"], false)])?;
    if let Some(encoder) = file.find("E")? {
        tensors.insert("W_enc".to_string(), encoder);
    }
    for name in file.names().into_iter().filter(|name| name.starts_with("attn_layers.")) {
        let tensor = file.get(&name)?;
        tensors.insert(name, tensor);
    }
    let d_in = model.required_count("dimin")?;
    let mut settings = json!({
        "architecture": "temporal", "d_in": d_in,
        "d_sae": (d_in as f64 * sae.required_number("exp_factor")?) as usize,
        "normalize_activations": "constant_scalar_rescale",
        "activation_normalization_factor": sae.required_number("scaling_factor")?,
        "apply_b_dec_to_input": true,
    });
    for key in ["n_heads", "n_attn_layers", "bottleneck_factor", "sae_diff_type", "kval_topk", "tied_weights"] {
        settings[key] = sae.get(key).cloned().unwrap_or_default();
    }
    if !files.is_point_given() {
        settings["hook_name"] = json!(Point::new(Place::ResidPost, files.layer(&["layer_"])?).to_string());
    }
    files.draft(settings, tensors, Format::Temporal)
}

//! Kissane's and Krzyzanowski's SAEs on GPT-2's heads: `{name}.pt` with `{name}_cfg.json`.

use serde_json::json;

use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, file_settings, mapped, read_json};
use crate::Result;

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["W_enc"], false),
    ("W_dec", &["W_dec"], false),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
];

/// Reads an SAE.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let stem = files.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path = files.folder().join(format!("{stem}_cfg.json"));
    let config = file_settings(&path, read_json(&path)?)?;
    let tensors = mapped(&TensorFile::open(files.path)?, TENSORS)?;
    let settings = json!({
        "architecture": "standard", "d_in": config.required_count("act_size")?,
        "d_sae": config.required_count("dict_size")?, "hook_name": config.required_text("act_name")?,
        "model_name": "gpt2-small", "apply_b_dec_to_input": true, "prepend_bos": true, "context_size": 128,
    });
    files.draft(settings, tensors, Format::ConnorRob)
}

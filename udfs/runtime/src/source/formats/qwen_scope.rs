//! Qwen Scope: `layer{n}.sae.pt`, with k only in the repository's name (`…-W32K-L0_50`).

use serde_json::json;

use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, mapped, widths};
use crate::{Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["W_enc"], true),
    ("W_dec", &["W_dec"], true),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
];

/// Reads an SAE.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let tensors = mapped(&TensorFile::open(files.path)?, TENSORS)?;
    let (d_in, d_sae, _) = widths(&tensors)?;
    let k = files.hints.k.or_else(|| files.number_after("L0_"));
    let k = k.ok_or_else(|| files.untold("how many features are kept at each position", "k"))?;
    let mut settings = json!({
        "architecture": "topk", "d_in": d_in, "d_sae": d_sae, "k": k,
        "apply_b_dec_to_input": false, "prepend_bos": true, "context_size": 1024,
    });
    if !files.is_point_given() {
        settings["hook_name"] = json!(Point::new(Place::ResidPost, files.layer(&["layer"])?).to_string());
    }
    files.draft(settings, tensors, Format::QwenScope)
}

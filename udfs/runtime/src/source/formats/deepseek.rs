//! SAEs on DeepSeek-R1's distilled Llama: one `.pt` with the layer in its name (`…-l19.pt`).

use serde_json::json;

use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, mapped, widths};
use crate::{Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["encoder.weight"], true),
    ("W_dec", &["decoder.weight"], true),
    ("b_enc", &["encoder.bias"], false),
    ("b_dec", &["decoder.bias"], false),
];

/// Reads an SAE.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let tensors = mapped(&TensorFile::open(files.path)?, TENSORS)?;
    let (d_in, d_sae, _) = widths(&tensors)?;
    let mut settings = json!({
        "architecture": "standard", "d_in": d_in, "d_sae": d_sae, "apply_b_dec_to_input": false, "prepend_bos": true,
    });
    if !files.is_point_given() {
        settings["hook_name"] = json!(Point::new(Place::ResidPost, files.layer(&["-l", "l"])?).to_string());
    }
    files.draft(settings, tensors, Format::DeepseekR1)
}

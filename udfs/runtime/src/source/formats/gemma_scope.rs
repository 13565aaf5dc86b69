//! Gemma Scope: `params.npz`, one folder for each source.
//!
//! The files hold numbers only; where a source reads stands in the names of its repository and folder.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::tensors::{Named, TensorFile};
use super::super::weights::Draft;
use super::{Files, Format, Mapping, mapped, widths};
use crate::{Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["W_enc", "w_enc"], false),
    ("W_dec", &["W_dec", "w_dec"], false),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
    ("threshold", &["threshold"], false),
];

/// Reads an SAE.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let file = TensorFile::open(&files.file("params.npz"))?;
    let mut tensors = mapped(&file, TENSORS)?;
    if let Some(factor) = file.find("scaling_factor")? {
        super::saelens::check_finetuning(&factor)?;
    }
    let (d_in, d_sae, _) = widths(&tensors)?;
    let is_embedding = files.path_says("embedding") || files.hints.point()?.is_some_and(|p| p.place == Place::Embed);
    if is_embedding {
        rescale(&mut tensors, d_in)?;
    }
    let mut settings = json!({
        "architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae,
        "apply_b_dec_to_input": false, "prepend_bos": true, "context_size": 1024,
    });
    if !files.is_point_given() {
        settings["hook_name"] = json!(point(files, is_embedding)?.to_string());
    }
    files.draft(settings, tensors, Format::GemmaScope)
}

/// Reads a transcoder. It reads the norm's output before its gain, unlike those of Gemma Scope 2.
pub(super) fn read_transcoder(files: &Files<'_>) -> Result<Draft> {
    let tensors = mapped(&TensorFile::open(&files.file("params.npz"))?, TENSORS)?;
    let (d_in, d_sae, d_out) = widths(&tensors)?;
    let mut settings = json!({
        "architecture": "jumprelu_transcoder", "d_in": d_in, "d_sae": d_sae, "d_out": d_out,
        "prepend_bos": true, "context_size": 1024,
    });
    if !files.is_point_given() {
        let layer = files.layer(&["layer_"])?;
        settings["hook_name"] = json!(Point::new(Place::Ln2Normalized, layer).to_string());
        settings["hook_name_out"] = json!(Point::new(Place::MlpOut, layer).to_string());
    }
    files.draft(settings, tensors, Format::GemmaScopeTranscoder)
}

/// Embedding SAEs were trained on embeddings before the model's `√d` scale.
fn rescale(tensors: &mut BTreeMap<String, Named>, d_in: usize) -> Result<()> {
    let scale = (d_in as f64).sqrt();
    for (name, factor) in [("W_enc", scale.recip()), ("W_dec", scale)] {
        if let Some(tensor) = tensors.get_mut(name) {
            *tensor = tensor.derived(tensor.tensor().affine(factor, 0.0)?);
        }
    }
    Ok(())
}

fn point(files: &Files<'_>, is_embedding: bool) -> Result<Point> {
    if is_embedding {
        return Ok(Point::new(Place::Embed, 0));
    }
    let places = [("res", Place::ResidPost), ("mlp", Place::MlpOut), ("att", Place::Z)];
    let place = places.into_iter().find(|(word, _)| files.path_says(word)).map(|(_, place)| place);
    let place = place.ok_or_else(|| files.untold("which point the source reads", "point"))?;
    Ok(Point::new(place, files.layer(&["layer_"])?))
}

//! The library dictionary_learning: `ae.pt`, with `config.json` naming the class of the dictionary.
//!
//! Dictionaries trained with a batch-wide top-k are used with the threshold that training left. The library's own
//! `AutoEncoder.from_pretrained` divides the decoder by its norms, which is the fold that is ours to choose.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::json;

use super::super::config::Settings;
use super::super::tensors::{Named, TensorFile};
use super::super::weights::Draft;
use super::{Files, Format, file_settings, mapped, read_json, widths};
use crate::{ErrorKind, Place, Point, Result};

/// A class of dictionaries: its architecture in SAELens, and whether it subtracts the decoder's bias.
const CLASSES: &[(&str, &str, bool)] = &[
    ("AutoEncoder", "standard", true),
    ("AutoEncoderNew", "standard", false),
    ("GatedAutoEncoder", "gated", true),
    ("AutoEncoderTopK", "topk", true),
    ("BatchTopKSAE", "jumprelu", true),
    ("MatryoshkaBatchTopKSAE", "jumprelu", true),
    ("JumpReluAutoEncoder", "jumprelu", false),
];

/// Reads a dictionary.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let path = files.folder().join("config.json");
    let config = file_settings(&path, read_json(&path)?)?;
    let trainer = config.nested("trainer")?;
    let class = trainer.required_text("dict_class")?;
    let Some((_, architecture, subtracts)) = CLASSES.iter().find(|(name, ..)| *name == class) else {
        let known: Vec<&str> = CLASSES.iter().map(|(name, ..)| *name).collect();
        let error = trainer.error(ErrorKind::Unsupported, format!("there is no class of dictionaries {class:?}"));
        return Err(error.with_hint(format!("known are {}", known.join(", "))));
    };
    let file = TensorFile::open(&files.file("ae.pt"))?;
    let tensors = tensors(&file, architecture)?;
    let (d_in, d_sae, _) = widths(&tensors)?;
    let k = match (*architecture == "topk", file.find("k")?) {
        (false, _) => None,
        (true, Some(k)) => Some(k.scalar()?),
        (true, None) => Some(trainer.required_number("k")?),
    };
    let context = config.nested("buffer").and_then(|buffer| buffer.count("ctx_len")).unwrap_or_default();
    let mut settings = json!({
        "architecture": architecture, "d_in": d_in, "d_sae": d_sae, "k": k,
        "apply_b_dec_to_input": subtracts, "prepend_bos": true, "context_size": context,
        "model_name": trainer.text("lm_name")?.map(|name| name.rsplit('/').next().unwrap_or(name)),
    });
    if !files.is_point_given() {
        settings["hook_name"] = json!(point(files, &trainer)?.to_string());
    }
    files.draft(settings, tensors, Format::DictionaryLearning)
}

fn tensors(file: &TensorFile, architecture: &str) -> Result<BTreeMap<String, Named>> {
    // The newer classes hold their matrices in SAELens' orientation, and under its names.
    let is_plain = file.has("W_enc");
    let mut tensors = mapped(
        file,
        &[
            ("W_enc", &["W_enc", "encoder.weight"], !is_plain),
            ("W_dec", &["W_dec", "decoder.weight"], !is_plain),
            ("b_dec", &["b_dec", "bias", "decoder_bias", "decoder.bias"], false),
        ],
    )?;
    match architecture {
        "gated" => {
            let gate: super::Mapping<'_> =
                &[("b_gate", &["gate_bias"], false), ("b_mag", &["mag_bias"], false), ("r_mag", &["r_mag"], false)];
            tensors.extend(mapped(file, gate)?);
        }
        _ => tensors.extend(mapped(file, &[("b_enc", &["b_enc", "encoder.bias"], false)])?),
    }
    if architecture == "jumprelu" {
        let threshold = file.get("threshold")?;
        let (_, d_sae, _) = widths(&tensors)?;
        let each = match threshold.tensor().elem_count() {
            1 => threshold.derived(Tensor::full(threshold.scalar()? as f32, d_sae, threshold.tensor().device())?),
            _ => threshold,
        };
        tensors.insert("threshold".to_string(), each);
    }
    Ok(tensors)
}

fn point(files: &Files<'_>, trainer: &Settings) -> Result<Point> {
    let layer = match files.hints.layer {
        Some(layer) => layer,
        None => trainer.required_count("layer")?,
    };
    let name = trainer.text("submodule_name")?.unwrap_or_default();
    let places = [("mlp_out", Place::MlpOut), ("attention_out", Place::AttnOut), ("attn_out", Place::AttnOut)];
    let place = places.into_iter().find(|(word, _)| name.contains(word)).map_or(Place::ResidPost, |(_, place)| place);
    Ok(Point::new(place, layer))
}

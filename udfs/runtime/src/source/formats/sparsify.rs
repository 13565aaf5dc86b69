//! EleutherAI's sparsify: `cfg.json` and `sae.safetensors`, in a folder named after the module it reads.
//!
//! Follows sparsify's `sparse_coder.py`. SAELens' reading of this format transposes a decoder that needs no
//! transposing, and subtracts the bias by another rule.

use serde_json::json;

use super::super::architecture::Architecture;
use super::super::config::Settings;
use super::super::tensors::TensorFile;
use super::super::weights::Draft;
use super::{Files, Format, Mapping, file_settings, mapped, number_after, read_json};
use crate::{ErrorKind, Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["encoder.weight"], true),
    ("W_dec", &["W_dec"], false),
    ("b_enc", &["encoder.bias"], false),
    ("b_dec", &["b_dec"], false),
];

/// Reads an SAE or a transcoder.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let path = files.folder().join("cfg.json");
    let config = file_settings(&path, read_json(&path)?)?;
    let is_transcoder = config.flag("transcode")?.unwrap_or(false);
    let file = TensorFile::open(&files.folder().join("sae.safetensors"))?;
    let mut tensors = mapped(&file, TENSORS)?;
    let skip = file.find("W_skip")?;
    let architecture = architecture(&config, is_transcoder, skip.is_some())?;
    tensors.extend(skip.map(|tensor| ("W_skip".to_string(), tensor)));
    let d_in = config.required_count("d_in")?;
    let d_sae = match config.count("num_latents")? {
        Some(latents) if latents > 0 => latents,
        _ => d_in.saturating_mul(config.required_count("expansion_factor")?),
    };
    let mut settings = json!({
        "architecture": architecture.name(), "d_in": d_in, "d_sae": d_sae, "d_out": d_in,
        "k": config.count("k")?, "apply_b_dec_to_input": !is_transcoder,
    });
    if !files.is_point_given() {
        let (input, output) = points(files, is_transcoder)?;
        settings["hook_name"] = json!(input.to_string());
        settings["hook_name_out"] = json!(output.map(|point| point.to_string()));
    }
    files.draft(settings, tensors, Format::Sparsify)
}

fn architecture(config: &Settings, is_transcoder: bool, has_skip: bool) -> Result<Architecture> {
    if has_skip && !is_transcoder {
        return Err(config.error(ErrorKind::Unsupported, "a linear path in a source that is no transcoder"));
    }
    match config.text("activation")?.unwrap_or("topk") {
        "topk" if is_transcoder => Ok(Architecture::TopK.as_transcoder(has_skip)),
        "topk" => Ok(Architecture::TopK),
        "groupmax" if is_transcoder => {
            Err(config.error(ErrorKind::Unsupported, "a transcoder with the activation function groupmax"))
        }
        "groupmax" => Ok(Architecture::GroupMax),
        other => Err(config.error(ErrorKind::Unsupported, format!("there is no activation function {other:?}"))),
    }
}

/// Where it reads, by the folder's name: the output of a module, or for a transcoder its input.
fn points(files: &Files<'_>, is_transcoder: bool) -> Result<(Point, Option<Point>)> {
    let name = files.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.ends_with("embed_tokens") || name.ends_with("embed_in") {
        return Ok((Point::new(Place::Embed, 0), None));
    }
    let named = ["layers.", "layers_", "h."].iter().find_map(|prefix| number_after(&name, prefix));
    let layer = files.hints.layer.or(named);
    let layer = layer.ok_or_else(|| files.untold("which module the source reads", "point"))?;
    let point = |place| Point::new(place, layer);
    let is_mlp = name.ends_with("mlp");
    match (is_mlp, is_transcoder) {
        (true, true) => Ok((point(Place::MlpIn), Some(point(Place::MlpRaw)))),
        (true, false) => Ok((point(Place::MlpRaw), None)),
        (false, false) if name.ends_with("attention") || name.ends_with("attn") => Ok((point(Place::AttnRaw), None)),
        (false, false) => Ok((point(Place::ResidPost), None)),
        (false, true) => Err(files.untold("which module the transcoder predicts", "point and output point")),
    }
}

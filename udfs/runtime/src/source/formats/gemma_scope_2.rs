//! Gemma Scope 2: `params.safetensors` and `config.json`; layers of its cross-layer transcoders are one file each.
//!
//! A transcoder reads `pre_feedforward_layernorm.output`: the norm's output with its gain. SAELens names that
//! `hook_mlp_in`, which in TransformerLens is the input of the norm; the weights expect the former.

use serde_json::{Value, json};

use super::super::tensors::{Named, TensorFile};
use super::super::weights::Draft;
use super::{Files, Format, Mapping, file_settings, mapped, number_after, read_json, widths};
use crate::{Error, ErrorKind, Place, Point, Result};

const TENSORS: Mapping<'_> = &[
    ("W_enc", &["w_enc"], false),
    ("b_enc", &["b_enc"], false),
    ("b_dec", &["b_dec"], false),
    ("threshold", &["threshold"], false),
];

/// Reads an SAE, a transcoder, or a layer of a cross-layer transcoder.
pub(super) fn read(files: &Files<'_>) -> Result<Draft> {
    let file = TensorFile::open(&files.file("params.safetensors"))?;
    let mut tensors = mapped(&file, TENSORS)?;
    let decoder = file.get("w_dec")?;
    let is_cross_layer = decoder.tensor().rank() == 3;
    let decoder = if is_cross_layer { sum_over_layers(&decoder)? } else { decoder };
    tensors.insert("W_dec".to_string(), decoder);
    let skip = file.find("affine_skip_connection")?;
    let has_skip = skip.is_some();
    if let Some(skip) = skip {
        tensors.insert("W_skip".to_string(), skip.t()?);
    }
    let (d_in, d_sae, d_out) = widths(&tensors)?;
    let config = config(files)?;
    let (point, output) = points(files, &config)?;
    let is_transcoder = output.is_some() || is_cross_layer || has_skip;
    let architecture = match (is_transcoder, has_skip) {
        (false, _) => "jumprelu",
        (true, false) => "jumprelu_transcoder",
        (true, true) => "jumprelu_skip_transcoder",
    };
    let mut settings = json!({
        "architecture": architecture, "d_in": d_in, "d_sae": d_sae, "d_out": d_out,
        "apply_b_dec_to_input": false, "prepend_bos": true, "context_size": 1024,
        "model_name": config["model_name"], "hf_hook_name": config["hf_hook_point_in"],
        "hf_hook_name_out": config["hf_hook_point_out"],
    });
    settings["hook_name"] = json!(point.map(|point| point.to_string()));
    settings["hook_name_out"] = json!(output.map(|point| point.to_string()));
    let mut draft = files.draft(settings, tensors, Format::GemmaScope2)?;
    draft.config.reconstructs = !is_cross_layer;
    Ok(draft)
}

/// What a feature writes to all layers together `[F, d]`, of `[F, L, d]`.
pub(super) fn sum_over_layers(decoder: &Named) -> Result<Named> {
    Ok(decoder.derived(decoder.tensor().sum(1)?))
}

fn config(files: &Files<'_>) -> Result<Value> {
    let path = files.folder().join("config.json");
    if !path.is_file() {
        return Ok(json!({}));
    }
    let value = read_json(&path)?;
    let settings = file_settings(&path, value.clone())?;
    match settings.text("architecture")? {
        None | Some("jump_relu") => Ok(value),
        Some(other) => Err(settings.error(ErrorKind::Unsupported, format!("there is no architecture {other:?}"))),
    }
}

/// Where it reads and, for a transcoder, what it predicts: as the configuration tells, or else the folder's name.
fn points(files: &Files<'_>, config: &Value) -> Result<(Option<Point>, Option<Point>)> {
    let named = |key: &str| config[key].as_str().map(|name| hugging_face_point(name, files)).transpose();
    let (input, output) = (named("hf_hook_point_in")?, named("hf_hook_point_out")?);
    if let Some(input) = input {
        return Ok((Some(input), output.filter(|output| *output != input)));
    }
    let text = files.path.to_string_lossy().into_owned();
    let places = [
        ("transcoder", Place::MlpIn, Some(Place::MlpOut)),
        ("clt", Place::MlpIn, Some(Place::MlpOut)),
        ("resid_post", Place::ResidPost, None),
        ("attn_out", Place::Z, None),
        ("mlp_out", Place::MlpOut, None),
    ];
    let place = places.into_iter().find(|(word, ..)| text.contains(word));
    match place {
        Some((_, input, output)) => {
            let layer = files.layer(&["layer_"])?;
            Ok((Some(Point::new(input, layer)), output.map(|place| Point::new(place, layer))))
        }
        None if files.is_point_given() => Ok((None, None)),
        None => Err(files.untold("which point the source reads", "point")),
    }
}

/// `model.layers.17.output` and its like.
fn hugging_face_point(name: &str, files: &Files<'_>) -> Result<Point> {
    let places = [
        ("pre_feedforward_layernorm.output", Place::MlpIn),
        ("post_feedforward_layernorm.output", Place::MlpOut),
        ("post_attention_layernorm.output", Place::AttnOut),
        ("self_attn.o_proj.input", Place::Z),
        (".output", Place::ResidPost),
    ];
    let place = places.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, place)| place);
    match (place, number_after(name, "layers.")) {
        (Some(place), Some(layer)) => Ok(Point::new(place, layer)),
        _ => {
            let message = format!("{}: there is no point {name:?}", files.path.display());
            Err(Error::new(ErrorKind::Unsupported, message).with_hint("give the point that the source reads"))
        }
    }
}

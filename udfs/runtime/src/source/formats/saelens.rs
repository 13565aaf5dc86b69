//! SAELens' own format: `cfg.json` and `sae_weights.safetensors`; also what the other formats have in common with
//! it, since SAELens turns each of them into such a configuration and such tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::architecture::Architecture;
use super::super::config::{Config, Hints, Normalization, Settings};
use super::super::encode::{Activation, Pursuit, Temporal, TopK};
use super::super::tensors::{Named, TensorFile};
use super::super::weights::{Draft, Whitening};
use super::{Format, pre6, read_json};
use crate::{Error, ErrorKind, Point, Result};

pub(super) const CONFIG: &str = "cfg.json";
pub(super) const WEIGHTS: &str = "sae_weights.safetensors";
const WHITENING: &str = "activation_whitening.safetensors";
const SCALER: &str = "activation_scaler.json";

/// Reads the folder of a source in SAELens' format.
pub(super) fn read(folder: &Path, hints: &Hints) -> Result<Draft> {
    let file = folder.join(CONFIG);
    let mut settings = Settings::new(file.display(), read_json(&file)?, &hints.config_overrides)?;
    if pre6::is_old(&settings) {
        settings = pre6::modernise(settings, &hints.config_overrides)?;
    }
    let weights = TensorFile::open(&folder.join(WEIGHTS))?;
    let mut draft = draft(&settings, tensors(&weights)?, Format::SaeLens, hints)?;
    read_scaler(&folder.join(SCALER), hints, &mut draft)?;
    draft.whitening = read_whitening(&folder.join(WHITENING), &settings)?;
    Ok(draft)
}

/// All tensors of a file that is already in SAELens' terms; older checkpoints hold a threshold's logarithm.
fn tensors(file: &TensorFile) -> Result<BTreeMap<String, Named>> {
    let mut tensors = BTreeMap::new();
    for name in file.names() {
        let tensor = file.get(&name)?;
        match name.as_str() {
            "log_threshold" => tensors.insert("threshold".to_string(), tensor.derived(tensor.tensor().exp()?)),
            "scaling_factor" => {
                check_finetuning(&tensor)?;
                None
            }
            _ => tensors.insert(name, tensor),
        };
    }
    Ok(tensors)
}

/// A finetuning factor of ones is a leftover; SAELens 6 refuses any other, and so must we.
pub(super) fn check_finetuning(factor: &Named) -> Result<()> {
    let values = factor.tensor().flatten_all()?.to_vec1::<f32>()?;
    if values.iter().all(|value| (value - 1.0).abs() <= 1e-5) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("{}: the finetuning factor is not 1", factor.file()))
        .with_hint("sources that were finetuned with a scaling_factor are not read since SAELens 6"))
}

/// A draft from settings in SAELens 6's terms, and tensors in its orientation.
pub(super) fn draft(
    settings: &Settings,
    tensors: BTreeMap<String, Named>,
    format: Format,
    hints: &Hints,
) -> Result<Draft> {
    let architecture = architecture(settings)?;
    let metadata = match settings.get("metadata") {
        Some(_) => settings.nested("metadata")?,
        None => settings.clone(),
    };
    let d_in = settings.required_count("d_in")?;
    let d_sae = settings.required_count("d_sae")?;
    let is_transcoder = architecture.is_transcoder();
    let d_out = if is_transcoder { settings.count("d_out")?.unwrap_or(d_in) } else { d_in };
    let apply_b_dec_to_input = !is_transcoder && settings.flag("apply_b_dec_to_input")?.unwrap_or(true);
    let activation = activation(architecture, settings, hints)?;
    let k = match &activation {
        Activation::TopK(topk) => Some(topk.k),
        Activation::GroupMax { k } => Some(*k),
        Activation::Temporal(temporal) => temporal.k,
        _ => None,
    };
    let (normalization, is_averaged) = normalization(architecture, settings)?;
    let text = |key: &str| metadata.text(key).map(|text| text.map(String::from));
    let config = Config {
        architecture,
        format: Some(format),
        d_in,
        d_sae,
        d_out,
        point: point(&metadata, hints)?,
        output_point: output_point(is_transcoder, &metadata, hints)?,
        apply_b_dec_to_input,
        normalization,
        k,
        folded: false,
        reconstructs: true,
        model_name: hints.model_name.clone().map_or_else(|| text("model_name"), |name| Ok(Some(name)))?,
        neuronpedia_id: hints.neuronpedia_id.clone().map_or_else(|| text("neuronpedia_id"), |id| Ok(Some(id)))?,
        prepend_bos: metadata.flag("prepend_bos")?,
        context_size: metadata.count("context_size")?,
        metadata: metadata.map().clone(),
    };
    let scaling = match is_averaged {
        true => Some(scaling(settings, hints)?),
        false => None,
    };
    let is_rescaled = matches!(architecture, Architecture::TopK | Architecture::AbsTopK)
        && settings.flag("rescale_acts_by_decoder_norm")?.unwrap_or(false);
    Ok(Draft { config, activation, tensors, scaling, whitening: None, is_rescaled })
}

/// The architecture, by its inference name: sources trained with a batch-wide top-k are saved with a threshold, and
/// are never to be encoded by a top-k that depends on the batch.
fn architecture(settings: &Settings) -> Result<Architecture> {
    let name = settings.text("architecture")?.unwrap_or("standard");
    match name {
        "batchtopk" | "matryoshka_batchtopk" => Ok(Architecture::JumpRelu),
        name => name.parse().map_err(|error: Error| {
            let hint = error.hint().unwrap_or_default().to_string();
            settings.error(error.kind(), error.message()).with_hint(hint)
        }),
    }
}

fn activation(architecture: Architecture, settings: &Settings, hints: &Hints) -> Result<Activation> {
    match architecture {
        Architecture::Standard | Architecture::Transcoder | Architecture::SkipTranscoder => Ok(Activation::Relu),
        Architecture::Gated => Ok(Activation::Gated),
        Architecture::JumpRelu | Architecture::JumpReluTranscoder | Architecture::JumpReluSkipTranscoder => {
            Ok(Activation::JumpRelu { is_rectified: true })
        }
        Architecture::TopK | Architecture::TopKTranscoder | Architecture::TopKSkipTranscoder => {
            Ok(Activation::TopK(TopK::new(k(settings, hints)?)))
        }
        Architecture::AbsTopK => Ok(Activation::TopK(TopK::by_magnitude(k(settings, hints)?))),
        Architecture::GroupMax => group_max(settings, hints),
        Architecture::MatchingPursuit => pursuit(settings),
        Architecture::Temporal => temporal(settings),
        Architecture::Neurons => Err(settings.error(ErrorKind::Unsupported, "neurons are not read from files")),
    }
}

/// Features kept at each position.
fn k(settings: &Settings, hints: &Hints) -> Result<usize> {
    let d_sae = settings.required_count("d_sae")?;
    let k = match hints.k {
        Some(k) => k,
        None => settings.required_count("k")?,
    };
    if k == 0 || k > d_sae {
        let message = format!("k must be between 1 and the number of features, {d_sae}, and is {k}");
        return Err(settings.error(ErrorKind::BadFile, message));
    }
    Ok(k)
}

fn group_max(settings: &Settings, hints: &Hints) -> Result<Activation> {
    let (k, d_sae) = (k(settings, hints)?, settings.required_count("d_sae")?);
    if d_sae % k != 0 {
        let message = format!("{d_sae} features cannot be divided into {k} groups of the same size");
        return Err(settings.error(ErrorKind::BadFile, message));
    }
    Ok(Activation::GroupMax { k })
}

fn pursuit(settings: &Settings) -> Result<Activation> {
    Ok(Activation::Pursuit(Pursuit {
        residual_threshold: settings.number("residual_threshold")?.unwrap_or(1e-2),
        max_iterations: settings.count("max_iterations")?.unwrap_or(settings.required_count("d_in")?),
        stops_on_duplicate: settings.flag("stop_on_duplicate_support")?.unwrap_or(true),
    }))
}

fn temporal(settings: &Settings) -> Result<Activation> {
    let d_sae = settings.required_count("d_sae")?;
    let n_heads = settings.count("n_heads")?.unwrap_or(8);
    let factor = settings.count("bottleneck_factor")?.unwrap_or(64);
    if n_heads == 0 || factor == 0 || d_sae % n_heads.saturating_mul(factor) != 0 {
        let message =
            format!("{d_sae} features cannot be divided among {n_heads} heads with a bottleneck of factor {factor}");
        return Err(settings.error(ErrorKind::BadFile, message));
    }
    let k = match settings.text("sae_diff_type")?.unwrap_or("topk") {
        "topk" => settings.count("kval_topk")?,
        "relu" => None,
        other => {
            let message = format!("sae_diff_type must be topk or relu, and is {other:?}");
            return Err(settings.error(ErrorKind::Unsupported, message));
        }
    };
    if k.is_some_and(|k| k == 0 || k > d_sae) {
        let message = format!("kval_topk must be between 1 and the number of features, {d_sae}");
        return Err(settings.error(ErrorKind::BadFile, message));
    }
    Ok(Activation::Temporal(Temporal {
        n_heads,
        n_layers: settings.count("n_attn_layers")?.unwrap_or(1),
        bottleneck: d_sae / factor,
        k,
        is_tied: settings.flag("tied_weights")?.unwrap_or(true),
    }))
}

/// What is done at run time, and whether an average norm is to be folded instead.
fn normalization(architecture: Architecture, settings: &Settings) -> Result<(Normalization, bool)> {
    match settings.text("normalize_activations")?.unwrap_or("none") {
        // A whitening that training has folded is "none" by the time it is saved; one that has not been folded
        // comes with its matrices, and is folded here.
        "none" | "covariance_whitening" => Ok((Normalization::None, false)),
        "expected_average_only_in" => Ok((Normalization::None, true)),
        "constant_norm_rescale" => Ok((Normalization::ConstantNorm, false)),
        "layer_norm" => Ok((Normalization::LayerNorm, false)),
        "constant_scalar_rescale" if architecture == Architecture::Temporal => {
            let factor = settings.number("activation_normalization_factor")?.unwrap_or(1.0);
            match factor.is_finite() && factor != 0.0 {
                true => Ok((Normalization::ConstantScalar(factor), false)),
                false => {
                    let message = format!("activation_normalization_factor must not be {factor}");
                    Err(settings.error(ErrorKind::BadFile, message))
                }
            }
        }
        other => Err(settings.error(ErrorKind::Unsupported, format!("there is no normalisation {other:?}"))),
    }
}

fn scaling(settings: &Settings, hints: &Hints) -> Result<f64> {
    let known = settings.number("norm_scaling_factor")?;
    hints.norm_scaling_factor.or(known).ok_or_else(|| {
        settings
            .error(
                ErrorKind::InvalidInput,
                "normalised by an average norm (expected_average_only_in) that the files do not tell",
            )
            .with_hint("give the norm_scaling_factor of this source in SAELens' list of pretrained SAEs")
    })
}

/// The factor of a training checkpoint, which has not been folded yet.
fn read_scaler(file: &Path, hints: &Hints, draft: &mut Draft) -> Result<()> {
    if draft.scaling.is_some() || !file.is_file() {
        return Ok(());
    }
    let scaler = Settings::new(file.display(), read_json(file)?, &serde_json::Map::new())?;
    draft.scaling = hints.norm_scaling_factor.or(scaler.number("scaling_factor")?);
    Ok(())
}

fn read_whitening(file: &Path, settings: &Settings) -> Result<Option<Whitening>> {
    if file.is_file() {
        let file = TensorFile::open(file)?;
        let part = |name: &str| file.get(name);
        return Ok(Some(Whitening { mean: part("mean")?, matrix: part("matrix")?, inverse: part("inverse_matrix")? }));
    }
    match settings.text("normalize_activations")? {
        Some("covariance_whitening") => Err(settings
            .error(ErrorKind::BadFile, format!("whitened, but {WHITENING} is missing"))
            .with_hint(format!("copy {WHITENING} of the training checkpoint next to it"))),
        _ => Ok(None),
    }
}

pub(super) fn point(metadata: &Settings, hints: &Hints) -> Result<Point> {
    if let Some(point) = hints.point()? {
        return Ok(point);
    }
    match metadata.text("hook_name")? {
        Some(name) => parse_point(name, metadata),
        None => Err(metadata
            .error(ErrorKind::InvalidInput, "the files do not say which point the source reads")
            .with_hint("give the point, as in blocks.10.hook_resid_pre")),
    }
}

fn output_point(is_transcoder: bool, metadata: &Settings, hints: &Hints) -> Result<Option<Point>> {
    match (hints.output_point, metadata.text("hook_name_out")?) {
        (Some(point), _) => Ok(Some(point)),
        (None, Some(name)) if is_transcoder => parse_point(name, metadata).map(Some),
        _ => Ok(None),
    }
}

fn parse_point(name: &str, metadata: &Settings) -> Result<Point> {
    name.parse().map_err(|error: Error| {
        metadata.error(ErrorKind::Unsupported, error.message()).with_hint("give the point that the source reads")
    })
}

//! Files that are damaged or incomplete, and arguments that do not fit, are refused with what is wrong and what to do.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use latentdb_runtime::source::{OpenOptions, Source};
use latentdb_runtime::{Error, ErrorKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::source_cases::{Case, golden};

/// A copy of a golden source that may be damaged.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden(name), folder.path());
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Changes the configuration.
    fn configure(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut config = serde_json::from_str(&std::fs::read_to_string(self.path(file)).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(self.path(file), config.to_string()).unwrap();
    }

    /// Replaces a tensor, or removes it.
    fn replace(&self, file: &str, name: &str, with: Option<Tensor>) {
        let mut tensors = candle_core::safetensors::load(self.path(file), &Device::Cpu).unwrap();
        tensors.remove(name);
        tensors.extend(with.map(|tensor| (name.to_string(), tensor)));
        candle_core::safetensors::save(&tensors, self.path(file)).unwrap();
    }

    /// Keeps the first bytes of a file.
    fn cut(&self, file: &str, keep: impl FnOnce(usize) -> usize) {
        let bytes = std::fs::read(self.path(file)).unwrap();
        std::fs::write(self.path(file), &bytes[..keep(bytes.len())]).unwrap();
    }

    fn refused(&self, open: &str) -> Error {
        refused(&self.path(open), &OpenOptions::default())
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn refused(path: &Path, options: &OpenOptions) -> Error {
    Source::open(path, options).map(|source| source.config().clone()).unwrap_err()
}

/// Asserts what an error says; its message names everything in `words`.
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{word:?} is not in: {error}");
    }
}

fn zeros(shape: &[usize]) -> Option<Tensor> {
    Some(Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap())
}

const WEIGHTS: &str = "sae_weights.safetensors";

#[test]
fn a_tensor_of_a_wrong_shape_is_named_with_both_shapes() {
    let copy = Copy::of("jumprelu");
    copy.replace(WEIGHTS, "threshold", zeros(&[47]));
    let error = copy.refused("");
    says(&error, ErrorKind::BadFile, &[WEIGHTS, "threshold", "[48]", "[47]"]);
    assert!(error.hint().is_some());
}

#[test]
fn a_transposed_tensor_is_named_in_the_files_own_orientation() {
    let copy = Copy::of("sparsify_topk");
    copy.replace("layers.5/sae.safetensors", "encoder.weight", zeros(&[48, 15]));
    says(&copy.refused("layers.5"), ErrorKind::BadFile, &["encoder.weight", "[48, 16]", "[48, 15]"]);
}

#[test]
fn a_missing_tensor_is_named() {
    for (name, tensor) in [("standard", "b_enc"), ("gated", "r_mag"), ("skip_transcoder", "W_skip"), ("topk", "W_enc")]
    {
        let copy = Copy::of(name);
        copy.replace(WEIGHTS, tensor, None);
        says(&copy.refused(""), ErrorKind::BadFile, &[WEIGHTS, tensor, "missing"]);
    }
    let copy = Copy::of("temporal");
    copy.replace(WEIGHTS, "attn_layers.0.v_ctx.bias", None);
    says(&copy.refused(""), ErrorKind::BadFile, &["attn_layers.0.v_ctx.bias"]);
    let copy = Copy::of("llama_scope");
    let file = "Llama3_1-8B-Base-L15R-8x/checkpoints/final.safetensors";
    copy.replace(file, "encoder.bias", None);
    let error = copy.refused("Llama3_1-8B-Base-L15R-8x");
    says(&error, ErrorKind::BadFile, &["final.safetensors", "encoder.bias", "decoder.weight"]);
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_and_named() {
    let files = [
        ("standard", "", WEIGHTS),
        (
            "gemma_scope_residual",
            "gemma-scope-2b-pt-res",
            "gemma-scope-2b-pt-res/layer_3/width_16k/average_l0_10/params.npz",
        ),
        ("gemma_scope_compressed", "", "gemma-scope-2b-pt-mlp/layer_3/width_16k/average_l0_10/params.npz"),
        ("qwen_scope", "", "SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer7.sae.pt"),
    ];
    for (name, _, file) in files {
        for tenths in 0..10 {
            let copy = Copy::of(name);
            copy.cut(file, |length| length * tenths / 10);
            let open = if name == "standard" { "" } else { file };
            let error = copy.refused(open);
            let file_name = Path::new(file).file_name().unwrap().to_str().unwrap();
            says(&error, ErrorKind::BadFile, &[file_name]);
        }
    }
}

#[test]
fn a_flipped_byte_in_an_archive_is_found() {
    let file = "SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer7.sae.pt";
    let bytes = std::fs::read(golden("qwen_scope").join(file)).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let copy = Copy::of("qwen_scope");
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        std::fs::write(copy.path(file), &damaged).unwrap();
        // Some bytes matter to nobody: alignment, and fields that are told twice. None may be answered by a panic,
        // and none may change a number unnoticed.
        if let Ok(source) = Source::open(&copy.path(file), &OpenOptions::default()) {
            let expected = Case::load("qwen_scope").open(true);
            let rows = |source: &Source| source.decoder().unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(rows(&source), rows(&expected), "byte {at}");
        }
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let refuses = |name: &str, key: &str, value: Value, kind: ErrorKind, words: &[&str]| {
        let copy = Copy::of(name);
        copy.configure("cfg.json", |config| config[key] = value);
        says(&copy.refused(""), kind, words);
    };
    use ErrorKind::{BadFile, Unsupported};
    refuses("standard", "architecture", json!("sparse_crosscoder"), Unsupported, &["cfg.json", "sparse_crosscoder"]);
    refuses("standard", "normalize_activations", json!("batch_norm"), Unsupported, &["batch_norm"]);
    refuses("standard", "d_in", json!("16"), BadFile, &["d_in", "whole number"]);
    refuses("standard", "d_in", json!(17), BadFile, &["17", "16"]);
    refuses("standard", "d_sae", json!(null), BadFile, &["d_sae", "missing"]);
    for k in [json!(0), json!(49), json!(-1), json!(2.5)] {
        refuses("topk", "k", k.clone(), BadFile, &["k must be", &k.to_string()]);
        refuses("abstopk", "k", k, BadFile, &["k must be"]);
    }
    refuses("temporal", "n_heads", json!(0), BadFile, &["heads"]);
    refuses("temporal", "n_heads", json!(7), BadFile, &["heads"]);
    refuses("temporal", "kval_topk", json!(0), BadFile, &["kval_topk"]);
    let copy = Copy::of("standard");
    std::fs::write(copy.path("cfg.json"), "{\"d_in\": 16,").unwrap();
    says(&copy.refused(""), BadFile, &["cfg.json", "not JSON"]);
    let copy = Copy::of("sparsify_groupmax");
    copy.configure("layers.5.mlp/cfg.json", |config| config["k"] = json!(7));
    says(&copy.refused("layers.5.mlp"), BadFile, &["48", "7 groups"]);
    let copy = Copy::of("dictionary_learning_standard");
    copy.configure("trainer_0/config.json", |config| config["trainer"]["dict_class"] = json!("CrossCoder"));
    says(&copy.refused("trainer_0"), Unsupported, &["CrossCoder"]);
}

#[test]
fn what_only_a_hint_can_tell_is_asked_for() {
    let asks = |case: &Case, change: &dyn Fn(&mut OpenOptions), word: &str| {
        let mut options = case.options(true);
        change(&mut options);
        let error = refused(&case.path(), &options);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.hint().unwrap().contains(word), "{error}");
    };
    let averaged = Case::load("averaged_norm");
    asks(&averaged, &|options| options.hints.norm_scaling_factor = None, "norm_scaling_factor");
    let layer = Case::load("circuit_tracer_jumprelu_skip");
    asks(&layer, &|options| options.hints.layer = None, "layer");
    let copy = Copy::of("qwen_scope");
    let elsewhere = copy.path("layer7.sae.pt");
    std::fs::rename(copy.path("SAE-Res-Qwen3-1.7B-Base-W32K-L0_5/layer7.sae.pt"), &elsewhere).unwrap();
    assert!(refused(&elsewhere, &OpenOptions::default()).hint().unwrap().contains('k'));
    let copy = Copy::of("standard");
    copy.configure("cfg.json", |config| config["metadata"]["hook_name"] = json!(null));
    assert!(copy.refused("").hint().unwrap().contains("point"));
    for factor in [0.0, -1.0, f64::NAN] {
        let mut options = averaged.options(true);
        options.hints.norm_scaling_factor = Some(factor);
        says(&refused(&averaged.path(), &options), ErrorKind::InvalidInput, &["norm_scaling_factor"]);
    }
}

#[test]
fn a_finetuning_factor_that_is_not_one_is_refused() {
    let copy = Copy::of("pre6_standard");
    copy.replace(WEIGHTS, "scaling_factor", Some((zeros(&[48]).unwrap() + 1.5).unwrap()));
    says(&copy.refused(""), ErrorKind::Unsupported, &[WEIGHTS, "finetuning"]);
}

#[test]
fn paths_without_a_source_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    says(&refused(folder.path(), &OpenOptions::default()), ErrorKind::Unsupported, &["no format"]);
    says(&refused(&folder.path().join("absent"), &OpenOptions::default()), ErrorKind::NotFound, &["absent"]);
    std::fs::write(folder.path().join("cfg.json"), "{}").unwrap();
    let error = refused(folder.path(), &OpenOptions::default());
    assert!(error.message().contains("cfg.json") || error.message().contains(WEIGHTS), "{error}");
    std::fs::write(folder.path().join("old.pt"), b"\x80\x02\x8a\x0a").unwrap();
    says(&refused(&folder.path().join("old.pt"), &OpenOptions::default()), ErrorKind::Unsupported, &["1.6"]);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let source = Case::load("standard_layer_norm").open(true);
    let matrix = |rows: usize, width: usize| Tensor::ones((rows, width), DType::F32, &Device::Cpu).unwrap();
    let invalid = |result: latentdb_runtime::Result<Tensor>, words: &[&str]| {
        says(&result.unwrap_err(), ErrorKind::InvalidInput, words);
    };
    invalid(source.encode(&matrix(3, 15), &[]), &["[N, 16]", "[3, 15]"]);
    invalid(source.encode(&matrix(3, 16).unsqueeze(0).unwrap(), &[]), &["[1, 3, 16]"]);
    invalid(source.encode(&matrix(3, 16).to_dtype(DType::U32).unwrap(), &[]), &["float"]);
    invalid(source.decode(&matrix(3, 47), None), &["[N, 48]"]);
    invalid(source.decode(&matrix(3, 48), None), &["norms"]);
    let norms = source.encode_for_decode(&matrix(2, 16), &[]).unwrap().norms;
    invalid(source.decode(&matrix(3, 48), Some(&norms)), &["3 rows", "2 positions"]);
    for error in [
        source.encoder_vector(48).unwrap_err(),
        source.decoder_vector(48).unwrap_err(),
        source.encode_feature(&matrix(1, 16), 48, &[]).unwrap_err(),
    ] {
        says(&error, ErrorKind::NotFound, &["feature 48", "48"]);
    }
    let temporal = Case::load("temporal").open(true);
    invalid(temporal.encode(&matrix(6, 16), &[0..2, 2..4]), &["4 rows of 6"]);
    invalid(temporal.encode(&matrix(6, 16), &[0..2, 3..6]), &["3..6"]);
    let layer = Case::load("cross_layer").open(true);
    says(&layer.forward(&matrix(1, 16), &[]).unwrap_err(), ErrorKind::Unsupported, &["cross-layer"]);
}

#[test]
fn a_weight_that_is_not_a_number_shows_in_the_features() {
    let broken = |shape: &[usize]| Some((zeros(shape).unwrap() + f64::NAN).unwrap());
    for name in ["standard", "jumprelu", "topk"] {
        let copy = Copy::of(name);
        copy.replace(WEIGHTS, "b_enc", broken(&[48]));
        let source = Source::open(copy.folder.path(), &Case::load(name).options(true)).unwrap();
        let features = source.encode(&Case::load(name).input(), &[]).unwrap().to_vec2::<f32>().unwrap();
        assert!(features[0].iter().any(|value| value.is_nan()), "{name}");
    }
}

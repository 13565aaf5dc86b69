//! What a source says about itself, and that its parts agree with each other.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use latentdb_runtime::source::{Architecture, Format, Normalization, OpenOptions, Source};
use latentdb_runtime::{ErrorKind, Place, Point};

use crate::source_cases::{Case, assert_close};

/// Every golden source that is worth asking for one feature alone: at least one of each architecture.
const EACH_ARCHITECTURE: &[&str] = &[
    "standard",
    "standard_layer_norm",
    "gated",
    "topk",
    "abstopk_rescaled",
    "jumprelu",
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
    "matching_pursuit",
    "temporal",
    "sparsify_groupmax",
    "circuit_tracer_topk",
    "deepseek_r1",
];

#[test]
fn one_feature_alone_has_the_values_of_its_column() {
    for name in EACH_ARCHITECTURE {
        let case = Case::load(name);
        let (x, sequences) = (case.input(), case.sequences());
        for fold in [false, true] {
            let source = case.open(fold);
            let features = source.encode(&x, &sequences).unwrap();
            for index in [0, 1, 17, source.config().d_sae - 1] {
                let alone = source.encode_feature(&x, index, &sequences).unwrap();
                let rows = alone.len();
                let alone = Tensor::from_vec(alone, (rows, 1), &Device::Cpu).unwrap();
                assert_close(&alone, &features.narrow(1, index, 1).unwrap(), true, &format!("{name} feature {index}"));
            }
        }
    }
}

#[test]
fn a_features_vectors_are_its_column_and_row() {
    let case = Case::load("standard");
    let source = case.open(false);
    let weights = candle_core::safetensors::load(case.path().join("sae_weights.safetensors"), &Device::Cpu).unwrap();
    let column = weights["W_enc"].narrow(1, 5, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(source.encoder_vector(5).unwrap(), column);
    assert_eq!(source.decoder_vector(5).unwrap(), weights["W_dec"].get(5).unwrap().to_vec1::<f32>().unwrap());
    assert_eq!(source.decoder().unwrap().dims(), [48, 16]);
    assert_eq!(source.size_in_bytes(), (2 * 16 * 48 + 48 + 16) * 4);
}

#[test]
fn folding_gives_the_decoder_unit_rows_and_lengthens_the_encoder() {
    let (plain, folded) = (Case::load("jumprelu").open(false), Case::load("jumprelu").open(true));
    let length = |vector: Vec<f32>| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    for index in [0, 20, 47] {
        let norm = length(plain.decoder_vector(index).unwrap());
        assert!((length(folded.decoder_vector(index).unwrap()) - 1.0).abs() < 1e-6);
        let grown = length(folded.encoder_vector(index).unwrap()) / length(plain.encoder_vector(index).unwrap());
        assert!((grown - norm).abs() < 1e-5 * norm);
    }
    assert!((length(plain.decoder_vector(0).unwrap()) - 1.0).abs() > 0.01, "this source's norms are not 1 already");
}

#[test]
fn what_is_read_and_predicted_is_told_by_files_names_and_hints() {
    let places = [
        ("standard", Place::ResidPre, 1, None),
        ("standard_hook_z", Place::Z, 1, None),
        ("transcoder", Place::Ln2Normalized, 1, Some(Place::MlpOut)),
        ("pre6_standard", Place::ResidPre, 1, None),
        ("gemma_scope_residual", Place::ResidPost, 3, None),
        ("gemma_scope_compressed", Place::MlpOut, 3, None),
        ("gemma_scope_embedding", Place::Embed, 0, None),
        ("gemma_scope_transcoder", Place::Ln2Normalized, 3, Some(Place::MlpOut)),
        ("gemma_scope_2_residual", Place::ResidPost, 3, None),
        ("gemma_scope_2_affine_transcoder", Place::MlpIn, 3, Some(Place::MlpOut)),
        ("gemma_scope_2_cross_layer", Place::MlpIn, 1, Some(Place::MlpOut)),
        ("llama_scope", Place::ResidPost, 15, None),
        ("llama_scope_r1_distill", Place::ResidPost, 15, None),
        ("dictionary_learning_standard", Place::ResidPost, 3, None),
        ("deepseek_r1", Place::ResidPost, 19, None),
        ("goodfire", Place::ResidPost, 19, None),
        ("qwen_scope", Place::ResidPost, 7, None),
        ("connor_rob", Place::Z, 5, None),
        ("mwhanna", Place::MlpIn, 4, Some(Place::MlpOut)),
        ("cross_layer", Place::ResidMid, 2, Some(Place::MlpOut)),
        ("temporal_published", Place::ResidPost, 12, None),
        ("sparsify_topk", Place::ResidPost, 5, None),
        ("sparsify_groupmax", Place::MlpRaw, 5, None),
        ("sparsify_skip_transcoder", Place::MlpIn, 5, Some(Place::MlpRaw)),
        ("circuit_tracer_relu", Place::MlpIn, 2, Some(Place::MlpRaw)),
    ];
    for (name, place, layer, output) in places {
        let source = Case::load(name).open(true);
        assert_eq!(source.config().point, Point::new(place, layer), "{name}");
        assert_eq!(source.config().output_point, output.map(|place| Point::new(place, layer)), "{name}");
    }
}

#[test]
fn a_hint_wins_over_what_the_files_say() {
    let case = Case::load("topk");
    let mut options = case.options(true);
    options.hints.point = Some(Point::new(Place::MlpOut, 9));
    options.hints.k = Some(3);
    options.hints.model_name = Some("gpt2-medium".to_string());
    options.hints.config_overrides.insert("apply_b_dec_to_input".to_string(), false.into());
    let source = Source::open(&case.path(), &options).unwrap();
    let config = source.config();
    assert_eq!((config.point, config.k), (Point::new(Place::MlpOut, 9), Some(3)));
    assert_eq!(config.model_name.as_deref(), Some("gpt2-medium"));
    assert!(!config.apply_b_dec_to_input);
    let features = source.encode(&case.input(), &[]).unwrap().to_vec2::<f32>().unwrap();
    assert!(features.iter().all(|row| row.iter().filter(|value| **value != 0.0).count() <= 3));
}

#[test]
fn the_configuration_is_told() {
    let source = Case::load("gated").open(true);
    let config = source.config();
    assert_eq!(config.architecture, Architecture::Gated);
    assert_eq!(config.format, Some(Format::SaeLens));
    assert_eq!((config.d_in, config.d_sae, config.d_out), (16, 48, 16));
    assert_eq!(config.normalization, Normalization::None);
    assert_eq!(config.model_name.as_deref(), Some("gpt2"));
    assert_eq!(config.neuronpedia_id.as_deref(), Some("gpt2-small/1-test"));
    assert_eq!(config.prepend_bos, Some(true));
    assert!(config.folded && config.metadata.contains_key("sae_lens_version"));
    assert_eq!(Case::load("transcoder").open(true).config().d_out, 20);
}

#[test]
fn neurons_are_what_they_read() {
    let neurons = Source::neurons(4, 6);
    assert_eq!(neurons.config().point, Point::new(Place::MlpPost, 4));
    let x = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((2, 6)).unwrap();
    let same = |found: Tensor| assert_eq!(found.to_vec2::<f32>().unwrap(), x.to_vec2::<f32>().unwrap());
    same(neurons.encode(&x, &[]).unwrap());
    same(neurons.decode(&x, None).unwrap());
    same(neurons.forward(&x, &[]).unwrap());
    assert_eq!(neurons.encode_feature(&x, 2, &[]).unwrap(), [2.0, 8.0]);
    assert_eq!(neurons.decoder_vector(1).unwrap(), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(neurons.decoder().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn input_of_any_float_type_is_brought_to_single_precision() {
    let case = Case::load("standard");
    let source = case.open(true);
    for dtype in [DType::BF16, DType::F16, DType::F64] {
        let x = case.input().to_dtype(dtype).unwrap();
        let rounded = x.to_dtype(DType::F32).unwrap();
        let features = source.encode(&x, &[]).unwrap();
        assert_eq!(features.dtype(), DType::F32);
        assert_close(&features, &source.encode(&rounded, &[]).unwrap(), true, "the type of the input");
    }
}

#[test]
fn no_rows_give_no_features() {
    for name in EACH_ARCHITECTURE {
        let source = Case::load(name).open(true);
        let x = Tensor::zeros((0, 16), DType::F32, &Device::Cpu).unwrap();
        let encoded = source.encode_for_decode(&x, &[]).unwrap();
        assert_eq!(encoded.features.dims(), [0, 48], "{name}");
        let y = source.decode(&encoded.features, Some(&encoded.norms)).unwrap();
        assert_eq!(y.dims(), [0, source.config().d_out], "{name}");
    }
}

#[test]
fn ties_go_to_the_lower_feature() {
    let folder = tempfile::tempdir().unwrap();
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let tensors = [("W_enc", ones(&[4, 8])), ("W_dec", ones(&[8, 4])), ("b_enc", ones(&[8])), ("b_dec", ones(&[4]))];
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    candle_core::safetensors::save(&tensors, folder.path().join("sae_weights.safetensors")).unwrap();
    let config = r#"{"architecture": "topk", "d_in": 4, "d_sae": 8, "k": 3, "hook_name": "blocks.0.hook_resid_pre",
                     "sae_lens_version": "6.0.0"}"#;
    std::fs::write(folder.path().join("cfg.json"), config).unwrap();
    let source = Source::open(folder.path(), &OpenOptions::default()).unwrap();
    let features = source.encode(&ones(&[1, 4]), &[]).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(features, [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]);
}

#[test]
fn many_rows_and_few_active_features_decode_as_the_whole_product_does() {
    let source = Case::load("topk").open(false);
    let x = Tensor::randn(0f32, 2.0, (300, 16), &Device::Cpu).unwrap();
    let options = OpenOptions {
        hints: latentdb_runtime::source::Hints { k: Some(2), ..Default::default() },
        ..Case::load("topk").options(false)
    };
    let sparse = Source::open(&Case::load("topk").path(), &options).unwrap();
    let features = sparse.encode(&x, &[]).unwrap();
    let bias = source.decode(&features.zeros_like().unwrap(), None).unwrap();
    let whole = (features.matmul(&source.decoder().unwrap()).unwrap() + bias).unwrap();
    assert_close(&source.decode(&features, None).unwrap(), &whole, false, "sparse decoding");
}

#[test]
fn a_sequence_does_not_see_the_one_before_it() {
    let case = Case::load("temporal");
    let source = case.open(true);
    let (x, sequences) = (case.input(), case.sequences());
    let together = source.encode(&x, &sequences).unwrap();
    let second = &sequences[1];
    let alone = source.encode(&x.narrow(0, second.start, second.len()).unwrap(), &[]).unwrap();
    assert_close(&alone, &together.narrow(0, second.start, second.len()).unwrap(), true, "the second sequence");
    let as_one = source.encode(&x, &[]).unwrap().to_vec2::<f32>().unwrap();
    assert_ne!(as_one, together.to_vec2::<f32>().unwrap());
}

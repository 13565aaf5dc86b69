//! Files of embedders that are damaged, or of something else, are refused by name.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use latentdb_runtime::embed::TextEmbedder;
use latentdb_runtime::{Error, ErrorKind};
use tempfile::TempDir;

/// A copy of a golden model, to be damaged.
pub(super) fn copy(name: &str) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(&super::embed::folder(name), to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&place).unwrap();
            copy_into(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[track_caller]
fn refusal(folder: &Path) -> Error {
    TextEmbedder::open(folder, &Device::Cpu).map(drop).unwrap_err()
}

/// Changes a text in a file, and gives the refusal.
#[track_caller]
fn changed(name: &str, file: &str, from: &str, to: &str) -> Error {
    let folder = copy(name);
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
    refusal(folder.path())
}

#[track_caller]
fn assert_says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

#[test]
fn other_encoders_are_refused_with_those_that_are_supported() {
    for kind in ["mpnet", "roberta", "distilbert", "xlm-roberta"] {
        let error = changed("mean", "config.json", "\"model_type\": \"bert\"", &format!("\"model_type\": \"{kind}\""));
        assert_says(&error, ErrorKind::Unsupported, &["config.json", kind, "all-MiniLM-L6-v2"]);
    }
    let relative = "{\"position_embedding_type\": \"relative_key\", ";
    let error = changed("mean", "config.json", "{\n", relative);
    assert_says(&error, ErrorKind::Unsupported, &["relative_key"]);
    let error = changed("mean", "config.json", "\"is_decoder\": false", "\"is_decoder\": true");
    assert_says(&error, ErrorKind::Unsupported, &["decoder"]);
    let error = changed("mean", "config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"magic\"");
    assert_says(&error, ErrorKind::Unsupported, &["hidden_act", "magic"]);
}

#[test]
fn other_modules_are_refused_with_those_that_are_supported() {
    let error = changed("mean", "modules.json", "models.Normalize", "models.Dense");
    assert_says(&error, ErrorKind::Unsupported, &["modules.json", "Dense", "Normalize"]);
    let error = changed("mean", "modules.json", "\"1_Pooling\"", "\"../1_Pooling\"");
    assert_says(&error, ErrorKind::BadFile, &["modules.json", "leaves the directory"]);
    let error = changed(
        "mean",
        "1_Pooling/config.json",
        "\"pooling_mode_max_tokens\": false",
        "\"pooling_mode_max_tokens\": true",
    );
    assert_says(&error, ErrorKind::Unsupported, &["1_Pooling", "max_tokens with pooling_mode_mean_tokens"]);
    let error = changed("mean", "modules.json", "[", "{");
    assert_says(&error, ErrorKind::BadFile, &["modules.json"]);
    let folder = copy("mean");
    fs::remove_dir_all(folder.path().join("1_Pooling")).unwrap();
    assert_says(&refusal(folder.path()), ErrorKind::Io, &["1_Pooling", "missing"]);
}

#[test]
fn a_default_prompt_is_refused() {
    let folder = copy("mean");
    let path = folder.path().join("config_sentence_transformers.json");
    fs::write(&path, r#"{"prompts": {"query": "query: "}, "default_prompt_name": "query"}"#).unwrap();
    assert_says(&refusal(folder.path()), ErrorKind::Unsupported, &["config_sentence_transformers.json", "query"]);
    fs::write(&path, r#"{"prompts": {"query": "query: "}, "default_prompt_name": null}"#).unwrap();
    TextEmbedder::open(folder.path(), &Device::Cpu).unwrap();
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    for (name, file) in [("mean", "model.safetensors"), ("cls", "0_Transformer/pytorch_model.bin")] {
        for cut in [4, 100, 5000] {
            let folder = copy(name);
            let path = folder.path().join(file);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_says(&refusal(folder.path()), ErrorKind::BadFile, &[file]);
        }
    }
    let error = changed("mean", "tokenizer.json", "{", "[");
    assert_says(&error, ErrorKind::BadFile, &["tokenizer.json"]);
    let error = changed("mean", "config.json", "{", "[");
    assert_says(&error, ErrorKind::BadFile, &["config.json"]);
}

#[test]
fn files_that_are_not_there_are_named() {
    for (file, said) in
        [("model.safetensors", "pytorch_model.bin"), ("config.json", "config.json"), ("tokenizer.json", "vocab.txt")]
    {
        let folder = copy("mean");
        fs::remove_file(folder.path().join(file)).unwrap();
        assert_says(&refusal(folder.path()), ErrorKind::Io, &[file, said]);
    }
    let error = refusal(Path::new("/no/such/folder"));
    assert_says(&error, ErrorKind::Io, &["/no/such/folder"]);
}

#[test]
fn tensors_that_are_missing_or_do_not_fit_are_named() {
    let error = changed("mean", "config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 50");
    assert_says(&error, ErrorKind::BadFile, &["model.safetensors", "layer.0.intermediate", "50", "48"]);
    let error = changed("mean", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert_says(&error, ErrorKind::BadFile, &["encoder.layer.2.", "missing"]);
    let error = changed("mean", "config.json", "\"hidden_size\": 32", "\"hidden_size\": 64");
    assert_says(&error, ErrorKind::BadFile, &["64", "32"]);
    let error = changed("mean", "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    assert_says(&error, ErrorKind::BadFile, &["config.json", "num_attention_heads"]);
    for (size, value) in [("hidden_size", "0"), ("hidden_size", "4611686018427387904"), ("hidden_size", "\"wide\"")] {
        let error = changed("mean", "config.json", "\"hidden_size\": 32", &format!("\"{size}\": {value}"));
        assert_says(&error, ErrorKind::BadFile, &["config.json"]);
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let folder = copy("mean");
    let path = folder.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    json["model"]["vocab"]["elephant"] = 5000.into();
    fs::write(&path, json.to_string()).unwrap();
    assert_says(&refusal(folder.path()), ErrorKind::BadFile, &["elephant", "5000", "tokenizer.json"]);
    json["model"]["vocab"].as_object_mut().unwrap().remove("elephant");
    json["post_processor"] = serde_json::Value::Null;
    fs::write(&path, json.to_string()).unwrap();
    let bare = TextEmbedder::open(folder.path(), &Device::Cpu).unwrap();
    assert_says(&bare.embed(&["the cat", ""]).unwrap_err(), ErrorKind::BadFile, &["post_processor"]);
}

#[test]
fn a_longest_text_without_room_is_refused_and_one_beyond_the_positions_is_cut() {
    let error = changed("mean", "sentence_bert_config.json", "16", "2");
    assert_says(&error, ErrorKind::BadFile, &["2 tokens", "tokenizer.json"]);
    let folder = copy("mean");
    fs::write(folder.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 100000}"#).unwrap();
    let embedder = TextEmbedder::open(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(embedder.max_tokens(), 32);
    assert!(embedder.embed(&[&"cat ".repeat(1000)]).is_ok());
}

#[test]
fn weights_that_are_not_finite_give_no_vectors() {
    let folder = copy("mean");
    let path = folder.path().join("model.safetensors");
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let name = "encoder.layer.1.output.dense.bias";
    let poisoned = Tensor::full(f32::NAN, tensors[name].shape(), &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap();
    tensors.insert(name.to_owned(), poisoned);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let embedder = TextEmbedder::open(folder.path(), &Device::Cpu).unwrap();
    assert_says(&embedder.embed(&["the cat"]).unwrap_err(), ErrorKind::BadFile, &["not finite"]);
}

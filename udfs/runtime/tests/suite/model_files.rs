//! Model files that are damaged, or of something else, are refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use latentdb_runtime::model::{Model, OpenOptions};
use latentdb_runtime::{Error, ErrorKind};
use tempfile::TempDir;

fn copy(name: &str) -> TempDir {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name);
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn refusal(folder: &Path) -> Error {
    Model::open(folder, &OpenOptions::default()).map(drop).unwrap_err()
}

fn change(folder: &Path, from: &str, to: &str) {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn an_unknown_family_is_refused_with_those_that_are_known() {
    let folder = copy("gpt2");
    change(folder.path(), "\"gpt2\"", "\"mamba\"");
    let error = refusal(folder.path());
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("mamba") && error.hint().unwrap().contains("gpt_neox"), "{error}");
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    for cut in [4, 100, 5000] {
        let folder = copy("llama");
        let path = folder.path().join("model.safetensors");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let error = refusal(folder.path());
        assert_eq!(error.kind(), ErrorKind::BadFile, "{error}");
        assert!(error.message().contains("model.safetensors"), "{error}");
    }
}

#[test]
fn a_missing_shard_and_missing_weights_are_refused_by_name() {
    let folder = copy("qwen2");
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    assert!(refusal(folder.path()).message().contains("model-00002-of-00003"));
    let folder = copy("gpt2");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(refusal(folder.path()).message().contains("model.safetensors"));
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_refused_by_name() {
    let folder = copy("qwen3");
    change(folder.path(), "\"intermediate_size\": 48", "\"intermediate_size\": 50");
    let error = refusal(folder.path());
    assert!(error.message().contains("gate_proj") && error.message().contains("50"), "{error}");
    let folder = copy("qwen3");
    change(folder.path(), "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let error = refusal(folder.path());
    assert!(error.message().contains("layers.2.") && error.message().contains("missing"), "{error}");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    for (from, to) in [
        ("\"num_attention_heads\": 4", "\"num_attention_heads\": 0"),
        ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
        ("\"hidden_size\": 32", "\"hidden_size\": \"wide\""),
        ("\"hidden_act\": \"silu\"", "\"hidden_act\": \"magic\""),
        ("{", "["),
    ] {
        let folder = copy("llama");
        change(folder.path(), from, to);
        let error = refusal(folder.path());
        assert!(error.message().contains("config.json"), "{to}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(folder.path());
    assert!(error.message().contains("config.json") && error.hint().is_some(), "{error}");
}

#[test]
fn a_missing_tokenizer_is_refused_by_name() {
    let folder = copy("gpt2");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(refusal(folder.path()).message().contains("tokenizer.json"));
}

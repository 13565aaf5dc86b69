//! Tokenizers: exactly one BOS where one is asked for, and texts that come back.

use std::path::PathBuf;

use latentdb_runtime::tokens::{Bos, ChatOptions, Message, Tokenizer};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models").join(name)
}

#[test]
fn one_bos_stands_in_front_and_never_two() {
    let tokenizer = Tokenizer::open(&folder("llama")).unwrap();
    assert_eq!(tokenizer.bos(), Some(0));
    assert_eq!(tokenizer.encode("t1 t2", Bos::Prepend).unwrap(), [0, 5, 6]);
    assert_eq!(tokenizer.encode("<bos>t1 t2", Bos::Prepend).unwrap(), [0, 5, 6]);
    assert_eq!(tokenizer.encode("t1 t2", Bos::Omit).unwrap(), [5, 6]);
    assert_eq!(tokenizer.encode("", Bos::Prepend).unwrap(), [0]);
    assert!(tokenizer.encode("", Bos::Omit).unwrap().is_empty());
    assert!(tokenizer.is_special(0) && !tokenizer.is_special(5));
    assert_eq!(tokenizer.token_texts(&[0, 5]), ["<bos>", "t1"]);
}

#[test]
fn a_model_without_bos_gets_none() {
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(folder("llama").join("tokenizer.json"), place.path().join("tokenizer.json")).unwrap();
    std::fs::write(place.path().join("tokenizer_config.json"), r#"{"bos_token": null, "eos_token": "<eos>"}"#).unwrap();
    let tokenizer = Tokenizer::open(place.path()).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (None, Some(1)));
    assert_eq!(tokenizer.encode("t1", Bos::Prepend).unwrap(), [5]);
    let hello = [Message { role: "user".to_owned(), content: "t1".to_owned() }];
    assert!(tokenizer.apply_chat(&hello, ChatOptions::default()).unwrap_err().message().contains("chat template"));
}

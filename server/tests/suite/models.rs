//! `latentdb model`, `latentdb source` and `latentdb activate`, from nothing to features.

use std::path::{Path, PathBuf};

use crate::harness::{run, succeed, text};

/// The tiny model whose activations interp-engine and SAELens computed.
fn golden(part: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../udfs/tests/golden").join(part);
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_model_and_a_source_are_added_listed_and_asked() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    let added = succeed(&data, &["model", "add", "tiny", &golden("model")]);
    assert!(added.contains("tiny: gpt2, 3 layers of width 32"), "{added}");
    let added = succeed(&data, &["source", "add", "tiny/1-res", &golden("sources/1-res")]);
    assert!(added.contains("jumprelu, 96 features at blocks.1.hook_resid_pre"), "{added}");
    assert!(succeed(&data, &["model", "list", "--format", "csv"]).contains("tiny,gpt2,3,32,4"));
    assert!(succeed(&data, &["source", "list", "--format", "csv"]).contains("tiny,1-res,jumprelu,96"));
    let found = succeed(&data, &["activate", "tiny", "1-res", "The cat's mat", "-k", "3", "--format", "csv"]);
    assert_eq!(found.lines().count(), 4, "{found}");
    assert!(found.starts_with("source_id,index,max_value,max_position,max_token,explanation"), "{found}");
    // Adding again says where the weights are now, and makes no second row.
    succeed(&data, &["model", "add", "tiny", &golden("model")]);
    assert_eq!(succeed(&data, &["sql", "--format", "csv", "SELECT count(*) AS n FROM models"]), "n\n1\n");
}

#[test]
fn what_cannot_be_added_or_asked_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    let source = golden("sources/1-res");
    for (arguments, said) in [
        (vec!["model", "add", "tiny", "/nowhere"], "/nowhere"),
        (vec!["model", "add", "ti/ny", "."], "model id"),
        (vec!["source", "add", "tiny/1-res", source.as_str()], "there is no model tiny"),
        (vec!["source", "add", "1-res", source.as_str()], "MODEL/SOURCE"),
        (vec!["source", "add", "tiny/res", source.as_str()], "source id"),
        (vec!["source", "add", "tiny/1-res", source.as_str(), "--hint", "k"], "NAME=VALUE"),
    ] {
        let output = run(&data, &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
    succeed(&data, &["model", "add", "tiny", &golden("model")]);
    let output = run(&data, &["activate", "tiny", "1-res", "x"]);
    assert!(text(&output.stderr).contains("latentdb source add tiny/1-res DIR"), "{}", text(&output.stderr));
}

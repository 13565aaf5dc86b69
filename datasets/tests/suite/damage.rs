//! Input that is cut, malformed or incomplete: the error says where, and the database stays as it was.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use latentdb_datasets::neuronpedia::ImportOptions;
use latentdb_engine::{Error, ErrorKind};

use crate::support::{Database, copy, sample};

const SOURCE: &str = "v1/tiny-stdlib/1-res-tiny-db";

/// Imports a damaged copy of a sample into an empty database, which must stay empty; answers the error.
async fn import_damaged(damage: impl FnOnce(&Path)) -> Error {
    let folder = tempfile::tempdir().unwrap();
    copy(&sample("export-db"), folder.path());
    damage(&folder.path().join(SOURCE));
    let database = Database::new().await;
    let error = database.import(folder.path()).await.unwrap_err();
    database.assert_empty().await;
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_names_itself_and_its_line() {
    let error = import_damaged(|source| {
        let path = source.join("activations/batch-3.jsonl.gz");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 500]).unwrap();
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.message().contains("activations/batch-3.jsonl.gz, line "), "{error}");
    assert!(error.message().contains("truncated"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_line_names_its_file_and_number() {
    for (kind, line, reason) in [
        ("features", r#"{"modelId":"tiny-stdlib","layer":"1-res-tiny-db","index":"5000","maxActApprox":NaN}"#, "NaN"),
        (
            "activations",
            r#"{"modelId":"tiny-stdlib","layer":"1-res-tiny-db","index":"3","tokens":["a"],"values":["#,
            "EOF",
        ),
        ("explanations", r#"{"modelId":"other","layer":"1-res-tiny-db","index":"3","description":"x"}"#, "belongs to"),
    ] {
        let name = format!("{kind}/batch-1.jsonl.gz");
        let mut lines = 0;
        let error = import_damaged(|source| {
            let path = source.join(&name);
            let text = std::io::read_to_string(flate2::read::MultiGzDecoder::new(std::fs::File::open(&path).unwrap()))
                .unwrap();
            lines = text.lines().count();
            let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::new(5));
            writeln!(encoder, "{text}{line}").unwrap();
            encoder.finish().unwrap();
        })
        .await;
        assert!(error.message().contains(&format!("{name}, line {}:", lines + 1)), "{error}");
        assert!(error.message().contains(reason), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_batch_is_an_error_unless_gaps_are_allowed() {
    let remove = |source: &Path| std::fs::remove_file(source.join("activations/batch-2.jsonl.gz")).unwrap();
    let error = import_damaged(remove).await;
    assert!(error.message().contains("batch 2 of activations is missing"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    copy(&sample("export-db"), folder.path());
    remove(&folder.path().join(SOURCE));
    let database = Database::new().await;
    let options = ImportOptions { allow_gaps: true, ..ImportOptions::default() };
    database.import_with(folder.path(), options).await.unwrap();
    let activations = database.count("activations").await;
    assert!(activations > 0 && activations < 690, "{activations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_occurs_twice_is_refused() {
    let error = import_damaged(|source| {
        let last = source.join("features/batch-5.jsonl.gz");
        std::fs::copy(source.join("features/batch-1.jsonl.gz"), last).unwrap();
    })
    .await;
    assert!(error.message().contains("occurs twice"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_replacement_leaves_the_old_rows() {
    let database = Database::new().await;
    database.import(&sample("export-db")).await.unwrap();
    let before = database.everything().await;
    let folder = tempfile::tempdir().unwrap();
    copy(&sample("export-db"), folder.path());
    std::fs::write(folder.path().join(SOURCE).join("explanations/batch-0.jsonl.gz"), "{\n").unwrap();
    let options = ImportOptions { replace: true, ..ImportOptions::default() };
    database.import_with(folder.path(), options).await.unwrap_err();
    assert_eq!(before, database.everything().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_an_export_is_refused() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let error = database.import(folder.path()).await.unwrap_err();
    assert!(error.message().contains("no Neuronpedia export"), "{error}");
    assert!(error.hint().is_some());
}

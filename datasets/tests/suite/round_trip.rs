//! Import, export, import: the tables are equal.

use std::path::Path;
use std::sync::Arc;

use latentdb_datasets::Quiet;
use latentdb_datasets::neuronpedia::export;
use latentdb_engine::ErrorKind;

use crate::support::{Database, sample, synthetic};

async fn round_trip(location: &Path) {
    let (first, second) = (Database::new().await, Database::new().await);
    let report = first.import(location).await.unwrap();
    let target = first.folder.path().join("export");
    for source in &report.sources {
        let written = export(&first.engine, &source.address.to_string(), &target, Arc::new(Quiet)).await.unwrap();
        assert_eq!(written.features, source.rows["features"]);
        assert_eq!(written.activations, source.rows["activations"]);
    }
    second.import(&target).await.unwrap();
    first.assert_equal(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_saedashboard_wrote() {
    round_trip(&sample("export")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_neuronpedias_database_writes() {
    round_trip(&sample("export-db")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_made_up_data() {
    let folder = tempfile::tempdir().unwrap();
    synthetic(folder.path(), 7);
    round_trip(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_never_writes_over_another_and_leaves_nothing_half_done() {
    let database = Database::new().await;
    database.import(&sample("export-db")).await.unwrap();
    let target = database.folder.path().join("export");
    let source = "tiny-stdlib/1-res-tiny-db";
    export(&database.engine, source, &target, Arc::new(Quiet)).await.unwrap();
    let error = export(&database.engine, source, &target, Arc::new(Quiet)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    let error = export(&database.engine, "tiny-stdlib/none", &target, Arc::new(Quiet)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UndefinedObject);
    let folders = std::fs::read_dir(target.join("v1/tiny-stdlib")).unwrap();
    let names: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["1-res-tiny-db"]);
}

//! An import that is stopped half-way goes on where it was.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use latentdb_datasets::Quiet;
use latentdb_datasets::neuronpedia::{ImportOptions, import};

use crate::support::{Database, copy, synthetic, try_copy};

/// Files of units that the manifest in `folder` names as finished.
fn finished(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let manifests = entries.filter_map(|entry| std::fs::read(entry.ok()?.path()).ok());
    let units = manifests.filter_map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    units.map(|manifest| manifest["units"].as_array().map_or(0, Vec::len)).sum()
}

/// Starts an import and drops it as soon as `units` of its units are finished.
async fn interrupt(database: &Database, export: &Path, state: &Path, units: usize) {
    let options =
        ImportOptions { threads: Some(1), state_directory: Some(state.to_owned()), ..ImportOptions::default() };
    let (engine, location) = (database.engine.clone(), export.to_str().unwrap().to_owned());
    let running = tokio::spawn(async move { import(&engine, &location, options, Arc::new(Quiet)).await });
    while finished(state) < units {
        assert!(!running.is_finished(), "the import ended before it could be interrupted");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()), "the import ended before it could be interrupted");
    database.assert_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_reads_only_what_was_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let export = synthetic(folder.path(), 8);
    let (database, whole) = (Database::new().await, Database::new().await);
    let state = folder.path().join("state");
    interrupt(&database, &export, &state, 2).await;
    let options = ImportOptions { state_directory: Some(state.clone()), ..ImportOptions::default() };
    let report = database.import_with(&export, options).await.unwrap();
    assert!(report.sources[0].resumed_files >= 2, "{report:?}");
    assert_eq!(finished(&state), 0, "nothing is left to resume");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
    whole.import(&export).await.unwrap();
    database.assert_equal(&whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_starts_anew_if_its_input_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let export = synthetic(folder.path(), 9);
    let (database, whole) = (Database::new().await, Database::new().await);
    let state = folder.path().join("state");
    interrupt(&database, &export, &state, 2).await;
    // The same files again: same names, other times.
    let again = folder.path().join("again");
    copy(&export, &again);
    std::fs::remove_dir_all(&export).unwrap();
    std::fs::rename(&again, &export).unwrap();
    let options = ImportOptions { state_directory: Some(state), ..ImportOptions::default() };
    let report = database.import_with(&export, options).await.unwrap();
    assert_eq!(report.sources[0].resumed_files, 0);
    whole.import(&export).await.unwrap();
    database.assert_equal(&whole).await;
}

/// Imports and keeps a copy of the manifest as it last was, which is what a kill just after the commit leaves.
async fn import_leaving_the_manifest(database: &Database, export: &Path, state: &Path) {
    let options = ImportOptions { state_directory: Some(state.to_owned()), ..ImportOptions::default() };
    let (engine, location) = (database.engine.clone(), export.to_str().unwrap().to_owned());
    let running = tokio::spawn(async move { import(&engine, &location, options, Arc::new(Quiet)).await });
    let kept = state.with_extension("kept");
    while !running.is_finished() {
        if finished(state) > finished(&kept) {
            // The import goes on, and deletes its manifest at the end: only a whole copy takes the place of the last one.
            let newer = state.with_extension("newer");
            let _ = std::fs::remove_dir_all(&newer);
            if try_copy(state, &newer).is_ok() && finished(&newer) > finished(&kept) {
                let _ = std::fs::remove_dir_all(&kept);
                std::fs::rename(&newer, &kept).unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.await.unwrap().unwrap();
    assert!(finished(&kept) > 0);
    std::fs::remove_dir_all(state).unwrap();
    std::fs::rename(&kept, state).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_killed_after_its_commit_costs_no_data_in_the_next() {
    for same_input in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let export = synthetic(folder.path(), 10);
        let (database, whole) = (Database::new().await, Database::new().await);
        let state = folder.path().join("state");
        import_leaving_the_manifest(&database, &export, &state).await;
        if !same_input {
            let again = folder.path().join("again");
            copy(&export, &again);
            std::fs::remove_dir_all(&export).unwrap();
            std::fs::rename(&again, &export).unwrap();
        }
        let options = ImportOptions { replace: true, state_directory: Some(state), ..ImportOptions::default() };
        database.import_with(&export, options).await.unwrap();
        whole.import(&export).await.unwrap();
        database.assert_equal(&whole).await;
        let report = database.engine.check(&|_, _, _| {}).await.unwrap();
        assert!(report.damages.is_empty(), "{:?}", report.damages);
        // The state before is whole too.
        database.count("activations VERSION AS OF 1").await;
        database.rows("SELECT sum(max_value) FROM activations VERSION AS OF 1").await;
    }
}

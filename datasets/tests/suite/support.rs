//! What the tests share: a database in a folder that goes away, exports to import, tables to compare.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use latentdb_datasets::Quiet;
use latentdb_datasets::neuronpedia::{ImportOptions, ImportReport, import};
use latentdb_datasets::synthetic::{SyntheticOptions, generate};
use latentdb_engine::arrow::compute::concat_batches;
use latentdb_engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::{Engine, EngineOptions, Result};
use tempfile::TempDir;

/// A database and its folder.
pub(crate) struct Database {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path().join("db").to_str().unwrap(), EngineOptions::default()).await.unwrap();
        Self { engine, folder }
    }

    pub(crate) async fn import(&self, location: &Path) -> Result<ImportReport> {
        self.import_with(location, ImportOptions::default()).await
    }

    pub(crate) async fn import_with(&self, location: &Path, options: ImportOptions) -> Result<ImportReport> {
        import(&self.engine, location.to_str().unwrap(), options, Arc::new(Quiet)).await
    }

    /// The result of a query as rows of text.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.engine.session("test").query(sql).await.unwrap();
        let schema = Arc::clone(rows.schema());
        let batches = rows.collect().await.unwrap();
        let batch = concat_batches(&schema, &batches).unwrap();
        let options = FormatOptions::default().with_null("NULL");
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()).collect()
    }

    /// The single value that a query answers.
    pub(crate) async fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
        rows[0][0].clone()
    }

    pub(crate) async fn count(&self, table: &str) -> u64 {
        self.value(&format!("SELECT count(*) FROM {table}")).await.parse().unwrap()
    }

    /// Every table that an import fills, in full.
    pub(crate) async fn everything(&self) -> Vec<(&'static str, Vec<Vec<String>>)> {
        let mut tables = Vec::new();
        for (table, key) in [
            ("models", "model_id"),
            ("releases", "release_id"),
            ("source_sets", "model_id, set_id"),
            ("sources", "model_id, source_id"),
            ("features", "model_id, source_id, \"index\""),
            ("activations", "model_id, source_id, \"index\", \"rank\""),
            ("contexts", "context_id"),
            ("explanations", "explanation_id"),
        ] {
            tables.push((table, self.rows(&format!("SELECT * FROM {table} ORDER BY {key}")).await));
        }
        tables
    }

    /// Checks that two databases hold the same rows.
    pub(crate) async fn assert_equal(&self, other: &Database) {
        for ((table, ours), (_, theirs)) in self.everything().await.into_iter().zip(other.everything().await) {
            assert_eq!(ours.len(), theirs.len(), "rows of {table}");
            for (a, b) in ours.iter().zip(&theirs) {
                assert_eq!(a, b, "a row of {table}");
            }
        }
    }

    /// Checks that no import has left anything.
    pub(crate) async fn assert_empty(&self) {
        for (table, rows) in self.everything().await {
            assert!(rows.is_empty(), "{table} has {} rows", rows.len());
        }
    }
}

/// One of the sample exports that come with the sources.
pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample").join(name)
}

/// A small made-up export.
pub(crate) fn synthetic(folder: &Path, seed: u64) -> PathBuf {
    let options = SyntheticOptions {
        source_id: format!("{seed}-res-syn"),
        features: 1500,
        activations: 6,
        tokens: 24,
        prompts: 300,
        seed,
        ..SyntheticOptions::default()
    };
    generate(&options, folder).unwrap();
    folder.join("v1/synthetic-small").join(&options.source_id)
}

/// A copy of a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    try_copy(from, to).unwrap();
}

/// A copy of a folder that may change or go away meanwhile; then it fails, and what it copied is not whole.
pub(crate) fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

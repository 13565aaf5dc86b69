//! The tiny model, its sources, and what is expected of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Engine, EngineOptions, Session};
use latentdb_udfs::{Downloads, Location, Models, ModelsOptions, SourceHints, Unwatched, add_model, add_source};
use serde::Deserialize;

/// What the oracles say of one prompt.
#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) tokens: Vec<String>,
    pub(crate) sources: std::collections::BTreeMap<String, OfSource>,
    pub(crate) logits: Vec<f32>,
    pub(crate) lens_top: Vec<Vec<u32>>,
    pub(crate) pattern: Vec<Vec<Vec<f32>>>,
    pub(crate) dfa: Dfa,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OfSource {
    /// `[T][F]`, with decoder norms folded as Neuronpedia's server does.
    pub(crate) acts: Vec<Vec<f32>>,
    /// `[T][F]`, plain SAELens.
    pub(crate) unfolded: Vec<Vec<f32>>,
    /// `[T][d_in]`.
    pub(crate) hidden: Vec<Vec<f32>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dfa {
    pub(crate) index: usize,
    pub(crate) target: usize,
    pub(crate) values: Vec<f32>,
}

pub(crate) static EXPECTED: LazyLock<Vec<Expected>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(folder().join("expected.json")).expect("the golden file is there");
    serde_json::from_str(&text).expect("the golden file is JSON")
});

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A database with the model `tiny` and its sources.
pub(crate) struct Tiny {
    pub(crate) engine: Engine,
    pub(crate) models: Models,
    _directory: tempfile::TempDir,
}

/// A folder of this machine.
pub(crate) fn here(path: &Path) -> Location {
    Location::Path(path.to_owned())
}

pub(crate) fn unwatched() -> Arc<dyn Downloads> {
    Arc::new(Unwatched)
}

impl Tiny {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().join("db");
        let engine = Engine::open(location.to_str().unwrap(), EngineOptions::default()).await.unwrap();
        let models = Models::attach(&engine, ModelsOptions::default()).unwrap();
        add_model(&engine, "tiny", &here(&folder().join("model")), &unwatched()).await.unwrap();
        for source in ["1-res", "2-res", "2-topk", "1-att"] {
            let path = folder().join("sources").join(source);
            let address = format!("tiny/{source}");
            add_source(&engine, &address, &here(&path), SourceHints::default(), &unwatched()).await.unwrap();
        }
        Self { engine, models, _directory: directory }
    }

    pub(crate) fn session(&self) -> Session {
        self.engine.session("tester")
    }

    pub(crate) async fn rows(&self, sql: &str) -> RecordBatch {
        rows(&self.session(), sql).await
    }

    pub(crate) async fn error(&self, sql: &str) -> latentdb_engine::Error {
        let session = self.session();
        match session.query(sql).await {
            Err(error) => error,
            Ok(rows) => match rows.collect().await {
                Err(error) => error,
                Ok(_) => panic!("{sql} does not fail"),
            },
        }
    }
}

/// Runs a statement that gives no rows.
pub(crate) async fn execute(session: &Session, sql: &str) {
    for statement in session.parse(sql).unwrap() {
        session.run(&statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

pub(crate) async fn rows(session: &Session, sql: &str) -> RecordBatch {
    let rows = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = Arc::clone(rows.schema());
    let batches = rows.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    concat_batches(&schema, &batches).unwrap()
}

pub(crate) fn column(batch: &RecordBatch, name: &str, to: &DataType) -> ArrayRef {
    cast(batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}")), to).unwrap()
}

pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = column(batch, name, &DataType::Utf8);
    column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

pub(crate) fn numbers(batch: &RecordBatch, name: &str) -> Vec<i64> {
    column(batch, name, &DataType::Int64).as_primitive::<Int64Type>().iter().map(|number| number.unwrap()).collect()
}

pub(crate) fn reals(batch: &RecordBatch, name: &str) -> Vec<f32> {
    column(batch, name, &DataType::Float32).as_primitive::<Float32Type>().iter().map(|real| real.unwrap()).collect()
}

pub(crate) fn real_lists(batch: &RecordBatch, name: &str) -> Vec<Vec<f32>> {
    let lists = batch.column_by_name(name).unwrap().as_list::<i32>().clone();
    (0..lists.len()).map(|row| lists.value(row).as_primitive::<Float32Type>().values().to_vec()).collect()
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Fails unless the numbers agree to `tolerance`, relative to the largest of them.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let scale = expected.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    assert_within(found, expected, tolerance * scale, what);
}

/// Fails unless the numbers agree to `difference`.
#[track_caller]
pub(crate) fn assert_within(found: &[f32], expected: &[f32], difference: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= difference, "{what} at {position}: {found}, expected {expected}");
    }
}

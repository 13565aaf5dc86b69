//! The export: a source's tables back into the files they could have come from.
//!
//! Batches of all three kinds cover the same 1,024 feature numbers. Files are written to a folder beside the
//! target, which takes its place when all are complete: an export is there whole or not at all.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, TryStreamExt, stream};
use latentdb_engine::{Engine, Error, ErrorKind, Result, text_literal};
use tokio::sync::mpsc;

use super::encode::{LineEncoder, registry_row};
use super::layout::{FEATURES_PER_BATCH, Kind, SourceAddress};
use super::registry::{MODEL, RELEASE, RegistryFile, SOURCE, SOURCE_SET};
use crate::{Phase, Progress};

/// Files written at once.
const FILES_AT_ONCE: usize = 2;
/// Lines held before they are compressed.
const BUFFER_BYTES: usize = 1 << 20;

/// What an export did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Where the source's files are.
    pub folder: PathBuf,
    /// Files written.
    pub files: usize,
    /// Feature rows.
    pub features: u64,
    /// Activation rows.
    pub activations: u64,
    /// Explanation rows.
    pub explanations: u64,
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, files, features, activations, explanations } = self;
        let folder = folder.display();
        write!(
            f,
            "{features} features, {activations} activations and {explanations} explanations in {files} files: {folder}"
        )
    }
}

/// Writes the source `model/source` to `directory/v1/{model}/{source}`, which must not exist yet.
pub async fn export(
    engine: &Engine,
    source: &str,
    directory: &Path,
    progress: Arc<dyn Progress>,
) -> Result<ExportReport> {
    let address = SourceAddress::parse(source)?;
    let models = directory.join("v1").join(&address.model_id);
    let target = models.join(&address.source_id);
    if target.exists() {
        return Err(Error::new(ErrorKind::Duplicate, format!("{} exists already", target.display()))
            .with_hint("remove it, or export to another directory"));
    }
    let draft = Draft { folder: models.join(format!(".{}.partial", address.source_id)), kept: false };
    let exporter = Exporter { engine, address, folder: draft.folder.clone(), progress };
    let report = exporter.write_all().await?;
    draft.keep(&target)?;
    Ok(ExportReport { folder: target, ..report })
}

/// A folder that is removed unless it is kept.
struct Draft {
    folder: PathBuf,
    kept: bool,
}

impl Draft {
    fn keep(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.folder, target).map_err(|error| unwritable(target, &error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

struct Exporter<'a> {
    engine: &'a Engine,
    address: SourceAddress,
    folder: PathBuf,
    progress: Arc<dyn Progress>,
}

impl Exporter<'_> {
    async fn write_all(&self) -> Result<ExportReport> {
        let registry = self.registry().await?;
        let mut report = ExportReport { files: registry.len(), ..ExportReport::default() };
        // Left over from an export that was killed.
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, &error))?;
        for (name, row) in registry {
            let path = self.folder.join(name);
            fs::write(&path, format!("{row}\n")).map_err(|error| unwritable(&path, &error))?;
        }
        self.progress.begin(Phase::Writing, &self.address.to_string(), None);
        for kind in Kind::ALL {
            // A kind with rows has a batch for every range of features, even if it is empty: numbers have no gaps.
            let batches = match self.last_index(kind).await? {
                Some(last) => last / FEATURES_PER_BATCH + 1,
                None => 0,
            };
            let folder = self.folder.join(kind.name());
            fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
            let rows: Vec<u64> = stream::iter(0..batches)
                .map(|batch| self.write_batch(kind, batch))
                .buffered(FILES_AT_ONCE)
                .try_collect()
                .await?;
            report.files += rows.len();
            let total = rows.iter().sum();
            match kind {
                Kind::Features => report.features = total,
                Kind::Activations => report.activations = total,
                Kind::Explanations => report.explanations = total,
            }
        }
        Ok(report)
    }

    /// The single rows, as the text of their files.
    async fn registry(&self) -> Result<Vec<(&'static str, String)>> {
        let source = self.registry_row(SOURCE, &self.address.predicate()).await?;
        let Some(source) = source else {
            return Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("source \"{}\" is not in the database", self.address),
            )
            .with_hint("SELECT model_id, source_id FROM sources lists what there is"));
        };
        let model_id = text_literal(&self.address.model_id);
        let text = |row: &serde_json::Map<String, serde_json::Value>, key: &str| {
            row.get(key).and_then(|value| value.as_str()).map(text_literal)
        };
        let mut rows = vec![(MODEL, self.registry_row(MODEL, &format!("model_id = {model_id}")).await?)];
        if let Some(set_id) = text(&source, "setName") {
            let set = self.registry_row(SOURCE_SET, &format!("model_id = {model_id} AND set_id = {set_id}")).await?;
            if let Some(release) = set.as_ref().and_then(|set| text(set, "releaseName")) {
                rows.push((RELEASE, self.registry_row(RELEASE, &format!("release_id = {release}")).await?));
            }
            rows.push((SOURCE_SET, set));
        }
        rows.push((SOURCE, Some(source)));
        let written = |(file, row): (RegistryFile, Option<_>)| {
            row.map(|row| (file.name, serde_json::Value::Object(row).to_string()))
        };
        Ok(rows.into_iter().filter_map(written).collect())
    }

    async fn registry_row(
        &self,
        file: RegistryFile,
        predicate: &str,
    ) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
        let query = format!("SELECT * FROM {} WHERE {predicate}", file.table);
        let batches = self.engine.session("").query(&query).await?.collect().await?;
        let row = batches.iter().find(|batch| batch.num_rows() > 0);
        row.map(|batch| registry_row(file.fields, batch)).transpose()
    }

    async fn last_index(&self, kind: Kind) -> Result<Option<i32>> {
        let query = format!("SELECT max(\"index\") FROM {} WHERE {}", kind.name(), self.address.predicate());
        let batches = self.engine.session("").query(&query).await?.collect().await?;
        let batch = batches.iter().find(|batch| batch.num_rows() > 0);
        let column =
            batch.and_then(|batch| batch.columns().first()).and_then(|column| column.as_primitive_opt::<Int32Type>());
        Ok(column.and_then(|column| column.iter().flatten().next()))
    }

    /// Writes one batch file; answers its rows.
    async fn write_batch(&self, kind: Kind, batch: i32) -> Result<u64> {
        let encoder = LineEncoder::new(kind, &self.address)?;
        let first = batch * FEATURES_PER_BATCH;
        let query = encoder.query(first, first.saturating_add(FEATURES_PER_BATCH - 1));
        let mut rows = self.engine.session("").query(&query).await?;
        let path = self.folder.join(kind.name()).join(format!("batch-{batch}.jsonl.gz"));
        let (sender, receiver) = mpsc::channel(2);
        let writing = tokio::task::spawn_blocking(move || write_file(&path, &encoder, receiver));
        let mut written = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let count = batch.num_rows() as u64;
            if sender.send(batch).await.is_err() {
                // The writer has failed; its error is the one to tell.
                break;
            }
            written += count;
            self.progress.advance(count, 0);
        }
        drop(sender);
        writing
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, format!("a writing thread ended early: {error}")))??;
        Ok(written)
    }
}

fn write_file(path: &Path, encoder: &LineEncoder, mut rows: mpsc::Receiver<RecordBatch>) -> Result<()> {
    let failed = |error: std::io::Error| unwritable(path, &error);
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    // Level 5 is what Neuronpedia's own export uses.
    let mut compressed = GzEncoder::new(file, Compression::new(5));
    let mut lines = Vec::new();
    while let Some(batch) = rows.blocking_recv() {
        encoder.write(&batch, &mut lines)?;
        if lines.len() > BUFFER_BYTES {
            compressed.write_all(&lines).map_err(failed)?;
            lines.clear();
        }
    }
    compressed.write_all(&lines).map_err(failed)?;
    let file = compressed.finish().map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write {}: {error}", path.display()))
}

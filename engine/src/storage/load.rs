//! Bulk loads: many files written first, one commit at the end.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::execution::context::SessionState;
use deltalake_core::kernel::Add;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::database::Database;
use super::files::LiveFile;
use super::maintenance::merged_files;
use super::transaction::Transaction;
use super::writer::write_rows;
use crate::erased::Erased;
use crate::runtime::QueryRuntime;
use crate::{Error, ErrorKind, Result};

/// A data file that is written but that no reader sees yet. Serialisable, so that an interrupted
/// import can pick up the files it had finished.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StagedFile {
    /// Table the file belongs to.
    pub table: String,
    /// Rows in the file.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// The Delta `add` action, as JSON.
    pub(crate) add: String,
}

impl StagedFile {
    fn new(table: &str, add: &Add, rows: u64) -> Result<Self> {
        let json = serde_json::to_string(add)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("staged file of \"{table}\": {error}")))?;
        Ok(Self { table: table.to_owned(), rows, bytes: u64::try_from(add.size).unwrap_or(0), add: json })
    }

    fn add(&self) -> Result<Add> {
        serde_json::from_str(&self.add).map_err(|error| {
            Error::new(ErrorKind::Corrupt, format!("record of a staged file of \"{}\" is damaged: {error}", self.table))
        })
    }
}

/// A load into several tables that becomes visible as one, or not at all.
///
/// Files are written by [`Load::write`] at any time and from any task; nothing is visible before
/// [`Load::commit`].
#[derive(Debug)]
pub struct Load {
    database: Erased<Database>,
    transaction: Erased<Transaction>,
    state: Erased<SessionState>,
    /// Sorting, encoding and planning happen there: they take a core, and planning a deep stack.
    runtime: QueryRuntime,
    deletions: Vec<(String, String)>,
    staged: Vec<StagedFile>,
}

impl Load {
    pub(crate) fn new(database: Arc<Database>, state: SessionState, runtime: QueryRuntime) -> Result<Self> {
        database.check_writable()?;
        let transaction = database.begin();
        let state = Arc::new(state).into();
        Ok(Self {
            database: database.into(),
            transaction: transaction.into(),
            state,
            runtime,
            deletions: Vec::new(),
            staged: Vec::new(),
        })
    }

    /// Writes `batches` as one file of `table`, sorted by the table's sort key, and answers it; `None`
    /// if there are no rows. The batches' columns may be a subset of the table's, in any order; missing
    /// ones become null.
    pub fn write<'a>(&'a self, table: &'a str, batches: Vec<RecordBatch>) -> BoxFuture<'a, Result<Option<StagedFile>>> {
        Box::pin(self.write_one(table, batches))
    }

    async fn write_one(&self, table: &str, batches: Vec<RecordBatch>) -> Result<Option<StagedFile>> {
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let (handle, _) = self.transaction.entry(table)?;
        let adds = self.runtime.run(async move { write_rows(&handle, batches).await }).await?;
        match adds.as_slice() {
            [] => Ok(None),
            [add] => StagedFile::new(table, add, rows).map(Some),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("too many rows of \"{table}\" for one file"))
                .with_hint("write them in several pieces")),
        }
    }

    /// Whether the bytes of a file staged by an earlier, interrupted load are still there.
    pub async fn is_present(&self, file: &StagedFile) -> Result<bool> {
        let (table, _) = self.transaction.entry(&file.table)?;
        let add = file.add()?;
        match table.log_store.object_store(None).head(&Path::from(add.path.as_str())).await {
            Ok(meta) => Ok(meta.size == file.bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(super::failure::store_error(error)),
        }
    }

    /// Whether an earlier load has committed the file: it is no longer staged, but data.
    pub fn is_committed(&self, file: &StagedFile) -> Result<bool> {
        let (_, snapshot) = self.transaction.entry(&file.table)?;
        let add = file.add()?;
        Ok(snapshot.files.iter().any(|live| live.path() == add.path))
    }

    /// Merges staged files of one table into fewer, sorted ones, within the memory budget.
    pub fn merge<'a>(&'a self, table: &'a str, files: Vec<StagedFile>) -> BoxFuture<'a, Result<Vec<StagedFile>>> {
        Box::pin(self.merge_all(table, files))
    }

    async fn merge_all(&self, table: &str, files: Vec<StagedFile>) -> Result<Vec<StagedFile>> {
        if files.len() < 2 {
            return Ok(files);
        }
        let (handle, snapshot) = self.transaction.entry(table)?;
        let live = files
            .iter()
            .map(|file| LiveFile::new(file.add()?, &snapshot.schema).map(Arc::new))
            .collect::<Result<Vec<_>>>()?;
        let (transaction, state, schema) =
            (Arc::clone(&self.transaction), self.state.as_ref().clone(), Arc::clone(&snapshot.schema));
        let merging = async move { merged_files(&transaction, &handle, &snapshot, live, &state).await };
        let adds = self.runtime.run(merging).await?;
        let merged = adds
            .iter()
            .map(|add| {
                let rows = LiveFile::new(add.clone(), &schema)?.rows.unwrap_or(0);
                StagedFile::new(table, add, rows)
            })
            .collect::<Result<Vec<_>>>()?;
        self.discard(&files).await;
        Ok(merged)
    }

    /// Deletes the bytes of staged files that are not needed after all. What cannot be deleted now,
    /// `VACUUM` deletes later.
    pub async fn discard(&self, files: &[StagedFile]) {
        for file in files {
            let Ok((table, _)) = self.transaction.entry(&file.table) else { continue };
            let Ok(add) = file.add() else { continue };
            if let Err(error) = table.log_store.object_store(None).delete(&Path::from(add.path.as_str())).await {
                tracing::debug!(path = %add.path, %error, "could not delete a staged file");
            }
        }
    }

    /// Marks the rows of `table` that match `predicate` (an SQL condition over its columns) to be
    /// deleted by the same commit.
    pub fn delete(&mut self, table: &str, predicate: &str) {
        self.deletions.push((table.to_owned(), predicate.to_owned()));
    }

    /// Adds a staged file to the commit.
    pub fn add(&mut self, file: StagedFile) {
        self.staged.push(file);
    }

    /// Commits deletions and additions of all tables as one. `label` goes into the tables' history.
    pub fn commit(self, label: &str) -> BoxFuture<'static, Result<()>> {
        let (runtime, label) = (self.runtime.clone(), label.to_owned());
        Box::pin(async move { runtime.finish(async move { self.commit_here(&label).await }).await })
    }

    async fn commit_here(self, label: &str) -> Result<()> {
        for (table, predicate) in &self.deletions {
            super::rewrite::delete_where(&self.transaction, table, predicate, &self.state).await?;
        }
        for file in &self.staged {
            let (table, _) = self.transaction.entry(&file.table)?;
            self.transaction.stage_adds(&table, vec![file.add()?])?;
        }
        let _open = &self.database;
        Arc::clone(&self.transaction).commit_as(label).await
    }
}

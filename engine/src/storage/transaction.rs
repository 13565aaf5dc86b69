//! A transaction: one snapshot of every table, and the changes made on top of it.
//!
//! Statements outside `BEGIN … COMMIT` are transactions of their own. A transaction reads the snapshot
//! it began with plus its own changes; nobody else sees the changes before [`Transaction::commit`],
//! which makes all of them visible as one, or fails with [`ErrorKind::Conflict`] if rows it rewrote
//! were rewritten meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::datasource::TableProvider;
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::{DeltaOperation, SaveMode};

use super::database::{Database, folder_of};
use super::files::{FileMap, LiveFile};
use super::group_commit;
use super::journal::{JournalEntry, JournalPart, commit_part};
use super::provider::DeltaTableProvider;
use super::rows_by_key::{Found, rows_by_key};
use super::rows_by_place::{Place, rows_at};
use super::scan::ScanTarget;
use super::table::{Table, TableSnapshot};
use super::writer::write_rows;
use crate::{Error, ErrorKind, Result};

/// Which state of a table to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// By number: `VERSION AS OF 7`.
    Number(u64),
    /// By time: `TIMESTAMP AS OF '2026-01-01'`.
    Time(DateTime<Utc>),
}

/// A snapshot of the database and the changes on top of it.
#[derive(Debug)]
pub(crate) struct Transaction {
    database: Arc<Database>,
    tables: HashMap<String, (Arc<Table>, Arc<TableSnapshot>)>,
    changes: Mutex<BTreeMap<String, TableChanges>>,
}

/// What a transaction does to one table.
#[derive(Debug, Default)]
struct TableChanges {
    /// Rows not yet in a file.
    rows: Vec<RecordBatch>,
    added: Vec<Arc<LiveFile>>,
    removed: FileMap,
    /// Whether the changes only move rows between files (`OPTIMIZE`).
    rearranges_only: bool,
}

impl TableChanges {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    fn actions(&self) -> Vec<Action> {
        let data_change = !self.rearranges_only;
        let removed = self.removed.values().map(|file| Action::Remove(file.remove(data_change)));
        let added = self.added.iter().map(|file| {
            let mut add = file.add.clone();
            add.data_change = data_change;
            Action::Add(add)
        });
        removed.chain(added).collect()
    }
}

impl Transaction {
    pub(crate) fn new(database: Arc<Database>, tables: HashMap<String, (Arc<Table>, Arc<TableSnapshot>)>) -> Arc<Self> {
        Arc::new(Self { database, tables, changes: Mutex::default() })
    }

    /// The table as this transaction sees it; `None` if there is none of that name. The provider's
    /// `insert_into` and `merge_into` stage their changes in this transaction.
    pub(crate) fn table(self: &Arc<Self>, name: &str) -> Option<Arc<dyn TableProvider>> {
        let (table, snapshot) = self.tables.get(name)?;
        let target = self.target(table, snapshot);
        let transaction = Some(Arc::clone(self));
        Some(Arc::new(DeltaTableProvider::new(Arc::clone(table), Arc::clone(snapshot), target, transaction)))
    }

    /// An older state of a table.
    pub(crate) async fn table_at(&self, name: &str, version: Version) -> Result<Arc<dyn TableProvider>> {
        let (table, newest) = self.tables.get(name).ok_or_else(|| undefined(name))?;
        let number = match version {
            Version::Number(number) => number,
            Version::Time(time) => self.database.version_at(table, newest, time).await?,
        };
        let snapshot =
            if number == newest.version() { Arc::clone(newest) } else { Arc::new(table.snapshot_at(number).await?) };
        self.database.pin(&table.name, &snapshot);
        let target = self.target(table, &snapshot);
        Ok(Arc::new(DeltaTableProvider::new(Arc::clone(table), snapshot, target, None)))
    }

    /// Names of all Delta tables.
    pub(crate) fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    /// Whether anything was staged.
    pub(crate) fn has_changes(&self) -> bool {
        self.lock().values().any(|changes| !changes.is_empty())
    }

    /// Fails if the database is open read-only.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.database.check_writable()
    }

    /// Makes the staged changes durable and visible, all at once. The transaction is over either way.
    pub(crate) async fn commit(self: Arc<Self>) -> Result<()> {
        self.commit_as("SQL transaction").await
    }

    /// [`Self::commit`], with words for the history.
    pub(crate) async fn commit_as(self: Arc<Self>, label: &str) -> Result<()> {
        let names: Vec<String> =
            self.lock().iter().filter(|(_, changes)| !changes.is_empty()).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.check_writable()?;
        if let ([name], Some(rows)) = (names.as_slice(), self.take_plain_rows(&names)) {
            let (table, _) = self.tables.get(name).ok_or_else(|| undefined(name))?;
            return group_commit::append(&self.database, table, rows).await;
        }
        // On a task of its own: once begun, a commit is carried through even if the caller goes away.
        let (database, label) = (Arc::clone(&self.database), label.to_owned());
        let commit = tokio::spawn(async move {
            for name in &names {
                let (table, _) = self.tables.get(name).ok_or_else(|| undefined(name))?;
                self.flush(table).await?;
            }
            self.commit_files(&database, &names, &label).await
        });
        commit.await.map_err(|error| Error::new(ErrorKind::Internal, format!("commit failed: {error}")))?
    }

    /// If the only change is a few appended rows of one table: those rows.
    fn take_plain_rows(&self, names: &[String]) -> Option<Vec<RecordBatch>> {
        let [name] = names else { return None };
        let mut changes = self.lock();
        let change = changes.get_mut(name)?;
        (change.added.is_empty() && change.removed.is_empty()).then(|| std::mem::take(&mut change.rows))
    }

    async fn commit_files(&self, database: &Arc<Database>, names: &[String], label: &str) -> Result<()> {
        let tables: Vec<Arc<Table>> = names
            .iter()
            .map(|name| self.tables.get(name).map(|(table, _)| Arc::clone(table)).ok_or_else(|| undefined(name)))
            .collect::<Result<_>>()?;
        // In the order of names, as every transaction does: no two wait for each other.
        let mut in_line = Vec::with_capacity(tables.len());
        for table in &tables {
            in_line.push(table.commit_lock.lock().await);
        }
        for table in &tables {
            self.check_conflicts(table)?;
        }
        let parts: Vec<JournalPart> = {
            let changes = self.lock();
            let part = |name: &String| JournalPart {
                table: name.clone(),
                actions: changes.get(name).map(TableChanges::actions).unwrap_or_default(),
            };
            names.iter().map(part).collect()
        };
        if let ([table], [part]) = (tables.as_slice(), parts.as_slice()) {
            let snapshot = table.commit(part.actions.clone(), self.operation(&part.table), None).await?;
            database.publish(vec![(&table.name, snapshot)]);
            return Ok(());
        }
        let entry = JournalEntry { sequence: database.next_sequence(), label: label.to_owned(), parts };
        entry.write(database.location()).await?;
        let mut committed = Vec::with_capacity(tables.len());
        for (table, part) in tables.iter().zip(&entry.parts) {
            committed.push((table.name.as_str(), commit_part(table, part, entry.sequence).await?));
        }
        database.publish(committed);
        // A leftover entry is harmless: recovery sees the marks and deletes it.
        if let Err(error) = entry.delete(database.location()).await {
            tracing::warn!(%error, "could not delete a finished journal entry");
        }
        Ok(())
    }

    /// Rows this transaction rewrote must still lie where it found them.
    fn check_conflicts(&self, table: &Table) -> Result<()> {
        let changes = self.lock();
        let Some(change) = changes.get(&table.name) else { return Ok(()) };
        if change.removed.is_empty() {
            return Ok(());
        }
        let current = table.snapshot();
        let live: std::collections::HashSet<&str> = current.files.iter().map(|file| file.path()).collect();
        match change.removed.keys().all(|path| live.contains(path.as_str())) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Conflict,
                format!("rows of table \"{}\" were changed by another transaction", table.name),
            )
            .with_hint("run the transaction again")),
        }
    }

    fn operation(&self, name: &str) -> DeltaOperation {
        let changes = self.lock();
        match changes.get(name) {
            Some(change) if change.rearranges_only => DeltaOperation::Optimize {
                predicate: None,
                target_size: super::writer::TARGET_FILE_BYTES.cast_signed(),
            },
            Some(change) if !change.removed.is_empty() && change.added.is_empty() => {
                DeltaOperation::Delete { predicate: None }
            }
            Some(change) if !change.removed.is_empty() => DeltaOperation::Update { predicate: None },
            _ => DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None },
        }
    }

    /// Rows to append.
    pub(super) fn stage_rows(&self, table: &Table, rows: Vec<RecordBatch>) {
        self.lock().entry(table.name.clone()).or_default().rows.extend(rows);
    }

    /// Files to append.
    pub(super) fn stage_adds(&self, table: &Table, adds: Vec<Add>) -> Result<()> {
        let schema = &table.snapshot().schema;
        let added = adds.into_iter().map(|add| LiveFile::new(add, schema).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        self.lock().entry(table.name.clone()).or_default().added.extend(added);
        Ok(())
    }

    /// Replaces files by others.
    pub(super) fn stage_replacement(&self, table: &Table, removed: &[Arc<LiveFile>], adds: Vec<Add>) -> Result<()> {
        {
            let mut changes = self.lock();
            let change = changes.entry(table.name.clone()).or_default();
            for file in removed {
                let before = change.added.len();
                // A file of this same transaction was never in the log: it is simply forgotten.
                change.added.retain(|added| added.path() != file.path());
                if change.added.len() == before {
                    change.removed.insert(file.path().to_owned(), Arc::clone(file));
                }
            }
        }
        self.stage_adds(table, adds)
    }

    /// Says that the staged changes of `table` move rows without changing any.
    pub(super) fn mark_rearranging(&self, table: &Table) {
        self.lock().entry(table.name.clone()).or_default().rearranges_only = true;
    }

    /// Puts rows that wait in memory into a file, so that scans of this transaction see them.
    pub(super) async fn flush(&self, table: &Arc<Table>) -> Result<()> {
        let rows = match self.lock().get_mut(&table.name) {
            Some(change) if !change.rows.is_empty() => std::mem::take(&mut change.rows),
            _ => return Ok(()),
        };
        let adds = write_rows(table, rows).await?;
        self.stage_adds(table, adds)
    }

    /// Rows by key as this transaction sees them: see [`rows_by_key`]. `None` too if the table has other columns
    /// than `schema`, or is gone.
    pub(crate) async fn rows_by_key(
        &self,
        name: &str,
        schema: &SchemaRef,
        columns: &[usize],
        wanted: &[ArrayRef],
    ) -> Result<Option<Found>> {
        let Some((target, block_rows)) = self.searched(name, schema).await? else { return Ok(None) };
        rows_by_key(self.database.blocks(), &target, block_rows, columns, wanted).await
    }

    /// What this transaction sees of a table, and how many rows its blocks have. `None` if the table has other columns
    /// than `schema`, or is gone.
    pub(crate) async fn searched(&self, name: &str, schema: &SchemaRef) -> Result<Option<(ScanTarget, usize)>> {
        let Some((table, snapshot)) = self.tables.get(name).filter(|(_, snapshot)| snapshot.schema == *schema) else {
            return Ok(None);
        };
        self.flush(table).await?;
        let mut target = self.target(table, snapshot);
        target.files = self.files(name, snapshot);
        Ok(Some((target, table.page_rows())))
    }

    /// Rows of what [`Self::searched`] gave by their places: see [`rows_at`].
    pub(crate) async fn rows_at(
        &self,
        (target, block_rows): &(ScanTarget, usize),
        columns: &[usize],
        places: &[Place],
    ) -> Result<RecordBatch> {
        rows_at(self.database.blocks(), target, *block_rows, columns, places).await
    }

    /// Files that this transaction sees.
    pub(super) fn files(&self, name: &str, snapshot: &TableSnapshot) -> Vec<Arc<LiveFile>> {
        let changes = self.lock();
        let Some(change) = changes.get(name) else { return snapshot.files.clone() };
        let kept = snapshot.files.iter().filter(|file| !change.removed.contains_key(file.path()));
        kept.chain(&change.added).cloned().collect()
    }

    pub(super) fn target(&self, table: &Table, snapshot: &TableSnapshot) -> ScanTarget {
        ScanTarget {
            location: self.database.location().clone(),
            folder: folder_of(&table.name),
            schema: Arc::clone(&snapshot.schema),
            sort_key: snapshot.sort_key.clone(),
            files: snapshot.files.clone(),
            with_file_column: false,
            with_row_column: false,
            rows: None,
        }
    }

    /// A table and the snapshot this transaction reads of it.
    pub(super) fn entry(&self, name: &str) -> Result<(Arc<Table>, Arc<TableSnapshot>)> {
        self.tables.get(name).cloned().ok_or_else(|| undefined(name))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TableChanges>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error for a table that is not there.
pub(crate) fn undefined(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedTable, format!("table \"{name}\" does not exist"))
}

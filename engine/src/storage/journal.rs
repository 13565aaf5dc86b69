//! Commits that span tables.
//!
//! Delta commits one table at a time. A change of several tables is first written down whole, as a
//! *journal entry*: from the moment the entry is durable the change will happen, and before it nothing
//! has. Then each table commits its part with a transaction mark, and the entry is deleted. After a
//! crash the next writer finds the entry and commits the parts whose mark is missing; until then readers
//! in other processes see them as if they were committed ([`super::follow`]).

use std::sync::Arc;

use deltalake_core::kernel::Action;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::failure::{delta_error, store_error};
use super::location::Location;
use super::table::{APP_ID, Table, TableMap, TableSnapshot};
use crate::{Error, ErrorKind, Result};

/// Folder of journal entries within the database.
const FOLDER: &str = "_latentdb/journal";

/// A change of several tables, written down before any of them is touched.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JournalEntry {
    /// Rises with every entry; the tables' transaction marks carry it.
    pub sequence: i64,
    /// What made the change, for people.
    pub label: String,
    /// Each table's part, in the order of commits.
    pub parts: Vec<JournalPart>,
}

/// One table's part of a change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JournalPart {
    pub table: String,
    pub actions: Vec<Action>,
}

impl JournalEntry {
    fn path(&self, location: &Location) -> object_store::path::Path {
        location.path(&format!("{FOLDER}/{:020}.json", self.sequence))
    }

    /// Makes the change certain to happen.
    pub(crate) async fn write(&self, location: &Location) -> Result<()> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("journal entry: {error}")))?;
        location.store().put(&self.path(location), PutPayload::from(bytes)).await.map_err(store_error)?;
        Ok(())
    }

    /// Forgets a change that has happened.
    pub(crate) async fn delete(&self, location: &Location) -> Result<()> {
        location.store().delete(&self.path(location)).await.map_err(store_error)
    }
}

/// Commits one part. The caller holds the table's commit lock.
pub(crate) async fn commit_part(table: &Table, part: &JournalPart, sequence: i64) -> Result<TableSnapshot> {
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    table.commit(part.actions.clone(), operation, Some(sequence)).await
}

/// Finishes changes that a crash interrupted. Answers how many there were.
pub(crate) async fn recover(location: &Location, tables: &TableMap) -> Result<usize> {
    let entries = pending(location).await?;
    for entry in &entries {
        for part in &entry.parts {
            let table = tables.get(&part.table).ok_or_else(|| {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("an unfinished change ({}) names table \"{}\", which is gone", entry.label, part.table),
                )
            })?;
            finish_part(table, part, entry.sequence).await?;
        }
        entry.delete(location).await?;
        tracing::info!(change = %entry.label, "finished a change that a crash had interrupted");
    }
    Ok(entries.len())
}

async fn finish_part(table: &Arc<Table>, part: &JournalPart, sequence: i64) -> Result<()> {
    let _in_line = table.commit_lock.lock().await;
    if is_committed(table, &table.snapshot().state, sequence).await? {
        return Ok(());
    }
    let committed = commit_part(table, part, sequence).await?;
    table.publish(committed);
    Ok(())
}

/// Whether `table` has committed its part of the change `sequence` in `state`.
pub(crate) async fn is_committed(table: &Table, state: &DeltaTableState, sequence: i64) -> Result<bool> {
    let mark = state.transaction_version(table.log_store.as_ref(), APP_ID).await.map_err(delta_error)?;
    Ok(mark.is_some_and(|mark| mark >= sequence))
}

/// Entries that wait, oldest first.
pub(crate) async fn pending(location: &Location) -> Result<Vec<JournalEntry>> {
    let folder = location.path(FOLDER);
    let mut found: Vec<_> = location.store().list(Some(&folder)).try_collect().await.map_err(store_error)?;
    found.sort_by(|a: &object_store::ObjectMeta, b| a.location.cmp(&b.location));
    let mut entries = Vec::with_capacity(found.len());
    for meta in found {
        let bytes = match location.store().get(&meta.location).await {
            Ok(found) => found.bytes().await.map_err(store_error)?,
            // Its change has happened since the folder was listed.
            Err(object_store::Error::NotFound { .. }) => continue,
            Err(error) => return Err(store_error(error)),
        };
        let entry = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Corrupt, format!("journal entry {} is damaged: {error}", meta.location))
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

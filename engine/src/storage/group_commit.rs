//! Group commit: small appends that wait for one table go into one file and one commit.
//!
//! A commit costs fsyncs, whatever its size. While one is under way, later appends queue up; whoever
//! gets the table next commits all of them. Every append is acknowledged only when its own rows are
//! durable, and fails if the commit that carried it failed.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::record_batch::RecordBatch;
use deltalake_core::kernel::Action;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use tokio::sync::oneshot;

use super::database::Database;
use super::table::Table;
use super::writer::write_rows;
use crate::{Error, ErrorKind, Result};

/// Appends of a table that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct AppendQueue {
    waiting: Mutex<Vec<Append>>,
}

#[derive(Debug)]
struct Append {
    rows: Vec<RecordBatch>,
    done: oneshot::Sender<Result<()>>,
}

impl AppendQueue {
    fn push(&self, append: Append) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(append);
    }

    /// All appends whose callers still wait.
    fn take(&self) -> Vec<Append> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).into_iter().filter(|append| !append.done.is_closed()).collect()
    }
}

/// Appends `rows`, which fit the table's schema, and answers when they are durable and visible.
pub(crate) async fn append(database: &Arc<Database>, table: &Arc<Table>, rows: Vec<RecordBatch>) -> Result<()> {
    let (done, mut outcome) = oneshot::channel();
    table.appends.push(Append { rows, done });
    let (database, leader) = (Arc::clone(database), Arc::clone(table));
    // On a task of its own: a caller that gives up must not take others' appends down with it.
    let turn = tokio::spawn(async move {
        let _in_line = leader.commit_lock.lock().await;
        let waiting = leader.appends.take();
        if waiting.is_empty() {
            return;
        }
        let rows: Vec<RecordBatch> = waiting.iter().flat_map(|append| append.rows.iter().cloned()).collect();
        let result = commit_rows(&database, &leader, rows).await;
        for append in waiting {
            // A caller that went away no longer asks.
            let _ = append.done.send(result.clone());
        }
    });
    if let Err(error) = turn.await {
        return Err(Error::new(ErrorKind::Internal, format!("append to \"{}\" failed: {error}", table.name)));
    }
    match outcome.try_recv() {
        Ok(result) => result,
        Err(_) => Err(Error::new(ErrorKind::Internal, format!("append to \"{}\" was lost", table.name))),
    }
}

async fn commit_rows(database: &Database, table: &Table, rows: Vec<RecordBatch>) -> Result<()> {
    let adds = write_rows(table, rows).await?;
    let actions = adds.into_iter().map(Action::Add).collect();
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let snapshot = table.commit(actions, operation, None).await?;
    database.publish(vec![(&table.name, snapshot)]);
    Ok(())
}

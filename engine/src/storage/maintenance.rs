//! `OPTIMIZE` and `VACUUM`: fewer, fuller files, and the disk space of files nobody needs.

use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use datafusion::physical_plan::execute_stream;
use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;

use super::database::Database;
use super::failure::delta_error;
use super::files::LiveFile;
use super::subset::SubsetProvider;
use super::table::{Table, TableSnapshot};
use super::transaction::Transaction;
use super::writer::{TARGET_FILE_BYTES, write_sorted_stream};
use crate::{Error, Result};

/// Files smaller than this are merged.
const SMALL_FILE_BYTES: u64 = TARGET_FILE_BYTES / 2;
/// Age from which files that no commit ever named are taken for leftovers of a crash: younger ones may
/// belong to a load that is still under way.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long vacuum keeps files of older versions unless told otherwise.
const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl Database {
    /// Merges small files of a table into sorted ones of full size; answers (files before, files after).
    pub(crate) async fn optimize(self: &Arc<Self>, name: &str, state: &SessionState) -> Result<(usize, usize)> {
        let transaction = self.begin();
        transaction.check_writable()?;
        let (table, snapshot) = transaction.entry(name)?;
        let before = snapshot.files.len();
        let small = mergeable(&snapshot);
        if small.len() < 2 {
            return Ok((before, before));
        }
        let adds = merged_files(&transaction, &table, &snapshot, small.clone(), state).await?;
        let after = before - small.len() + adds.len();
        transaction.mark_rearranging(&table);
        transaction.stage_replacement(&table, &small, adds)?;
        transaction.commit_as("OPTIMIZE").await?;
        Ok((before, after))
    }

    /// Deletes files that no snapshot younger than `retention` refers to; answers how many.
    pub(crate) async fn vacuum(&self, name: &str, retention: Option<Duration>, dry_run: bool) -> Result<usize> {
        self.check_writable()?;
        let table = self.table(name)?;
        let retention = retention.unwrap_or(DEFAULT_RETENTION);
        let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
        delta.load().await.map_err(delta_error)?;
        let mode = if retention >= ORPHAN_AGE { VacuumMode::Full } else { VacuumMode::Lite };
        let _in_line = table.commit_lock.lock().await;
        let (delta, metrics) = delta
            .vacuum()
            .with_retention_period(chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX))
            .with_enforce_retention_duration(false)
            .with_keep_versions(&self.pinned_versions(name))
            .with_mode(mode)
            .with_dry_run(dry_run)
            .await
            .map_err(delta_error)?;
        if !dry_run {
            let state = delta.snapshot().map_err(delta_error)?.clone();
            self.publish(vec![(name, TableSnapshot::new(state, &table.snapshot().files)?)]);
        }
        Ok(metrics.files_deleted.len())
    }
}

/// Small files, and large ones whose key range a small one falls into: together they make sorted,
/// disjoint files again.
fn mergeable(snapshot: &TableSnapshot) -> Vec<Arc<LiveFile>> {
    snapshot
        .files
        .iter()
        .filter(|file| {
            file.size() < SMALL_FILE_BYTES || !file.is_sorted_by(&snapshot.sort_key) && !snapshot.sort_key.is_empty()
        })
        .cloned()
        .collect()
}

/// Writes the rows of `files` into fewer files, sorted.
pub(super) async fn merged_files(
    transaction: &Transaction,
    table: &Arc<Table>,
    snapshot: &TableSnapshot,
    files: Vec<Arc<LiveFile>>,
    state: &SessionState,
) -> Result<Vec<deltalake_core::kernel::Add>> {
    let mut target = transaction.target(table, snapshot);
    target.files = files;
    let plan = || {
        let source = provider_as_source(Arc::new(SubsetProvider::new(target)));
        let mut plan = LogicalPlanBuilder::scan(table.name.clone(), source, None)?;
        if !snapshot.sort_key.is_empty() {
            plan = plan.sort(snapshot.sort_key.iter().map(|name| ident(name).sort(true, false)))?;
        }
        plan.build()
    };
    let plan = state.create_physical_plan(&plan().map_err(Error::from)?).await.map_err(Error::from)?;
    let stream = execute_stream(plan, state.task_ctx()).map_err(Error::from)?;
    Ok(write_sorted_stream(table, stream).await?.0)
}

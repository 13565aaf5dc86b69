//! Keeping indexes up with their tables, in the background.
//!
//! Every so often each index is looked at: files that came are indexed, segments that are worn are built anew, small ones are
//! merged. Searches are right at any time; they are only faster afterwards.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::build::{Progress, cover, uncovered_rows};
use super::definition::IndexDefinition;
use super::index::Index;
use crate::engine::Shared;
use crate::storage::provider::DeltaTableProvider;
use crate::storage::scan::ScanTarget;
use crate::{Error, ErrorKind, Result};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time that an index which could not be built is left alone.
const PAUSE: Duration = Duration::from_secs(60);

/// Looks after the indexes as long as the database is open.
pub(crate) async fn keep_up(shared: Weak<Shared>) {
    let mut failed: std::collections::HashMap<String, tokio::time::Instant> = std::collections::HashMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        for index in shared.indexes.all() {
            let name = index.definition.name.clone();
            if failed.get(&name).is_some_and(|until| *until > tokio::time::Instant::now()) {
                continue;
            }
            match build(&shared, &index, Arc::new(|_, _| {})).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(index = %name, rows, "index built"),
                Err(_) if index.check_there().is_err() => {}
                Err(error) => {
                    tracing::warn!(index = %name, %error, "an index could not be built; searches go without");
                    failed.insert(name, tokio::time::Instant::now() + PAUSE);
                }
            }
        }
    }
}

/// Makes `index` cover its table as it is now. Answers how many rows were indexed anew.
pub(crate) async fn build(shared: &Arc<Shared>, index: &Arc<Index>, progress: Arc<Progress>) -> Result<u64> {
    let target = target_of(shared, &index.definition)?;
    cover(index, &target, &shared.base, progress).await
}

/// Whether `index` covers all rows of its table.
pub(crate) fn is_ready(shared: &Arc<Shared>, index: &Index) -> bool {
    target_of(shared, &index.definition).is_ok_and(|target| uncovered_rows(index, &target) == 0)
}

/// The table of an index, as it is now.
pub(super) fn target_of(shared: &Arc<Shared>, definition: &IndexDefinition) -> Result<ScanTarget> {
    let transaction = shared.database.begin();
    let missing = || Error::new(ErrorKind::UndefinedTable, format!("relation \"{}\" does not exist", definition.table));
    let table = transaction.table(&definition.table).ok_or_else(missing)?;
    let table: &dyn std::any::Any = table.as_ref();
    let table = table.downcast_ref::<DeltaTableProvider>().ok_or_else(missing)?;
    Ok(table.scan_target().clone())
}

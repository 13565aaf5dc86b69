//! Following a database that another process writes.
//!
//! Delta commits tables one at a time, so the logs alone may show a change of several tables half done:
//! while its writer is at it, or after a crash, until the next writer finishes it. What a follower shows
//! is the database at one moment: table versions that held while the journal was read, and on top of them
//! the changes in the journal that the logs lack. Such a change is certain to happen, so it has happened
//! already for everyone who looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake_core::table::state::DeltaTableState;
use futures::future::try_join_all;

use super::database::{folder_of, table_names};
use super::failure::delta_error;
use super::journal::{self, JournalEntry};
use super::location::Location;
use super::table::{Table, TableMap, TableSnapshot};
use crate::{Error, Result};

/// How often a moment is looked for at which nothing was committed.
const ATTEMPTS: usize = 50;

/// The tables that were there at one moment, each with a snapshot if it has changed since the one it holds.
pub(crate) type Moment = Vec<(Arc<Table>, Option<TableSnapshot>)>;

/// A table and a version of it.
struct Seen {
    table: Arc<Table>,
    state: DeltaTableState,
}

/// Tables by name.
type View = BTreeMap<String, Seen>;

/// The database as it is now; `known` are tables that are open already. `None` if commits come faster
/// than the tables can be looked at.
pub(crate) async fn moment(location: &Location, known: &TableMap) -> Result<Option<Moment>> {
    let known = known.iter().map(|(name, table)| {
        let state = table.snapshot().state.clone();
        (name.clone(), Seen { table: Arc::clone(table), state })
    });
    let mut before = look(location, &known.collect()).await?;
    for _ in 0..ATTEMPTS {
        let journal = journal::pending(location).await?;
        let after = look(location, &before).await?;
        if is_same(&before, &after) {
            return with_journal(after, &journal).await.map(Some);
        }
        before = after;
    }
    Ok(None)
}

/// The newest version of every table.
async fn look(location: &Location, before: &View) -> Result<View> {
    let names = table_names(location).await?;
    let seen = names.into_iter().map(|name| async move {
        let seen = match before.get(&name) {
            Some(known) => newest(known).await?,
            None => Table::open_if_there(&name, location.log_store(&folder_of(&name))?)
                .await?
                .map(|table| Seen { state: table.snapshot().state.clone(), table: Arc::new(table) }),
        };
        Ok::<_, Error>(seen.map(|seen| (name, seen)))
    });
    Ok(try_join_all(seen).await?.into_iter().flatten().collect())
}

/// The newest version of a table; `None` if it was dropped.
async fn newest(known: &Seen) -> Result<Option<Seen>> {
    let log_store = known.table.log_store.as_ref();
    let mut state = known.state.clone();
    if let Err(error) = state.update(log_store, None).await {
        return match log_store.is_delta_table_location().await {
            Ok(false) => Ok(None),
            _ => Err(delta_error(error)),
        };
    }
    Ok(Some(Seen { table: Arc::clone(&known.table), state }))
}

fn is_same(before: &View, after: &View) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|((name, old), (same_name, new))| name == same_name && old.state.version() == new.state.version())
}

/// Snapshots of `view`, with what the journal adds to it.
async fn with_journal(view: View, journal: &[JournalEntry]) -> Result<Moment> {
    let mut moment = Vec::with_capacity(view.len());
    for (name, Seen { table, state }) in view {
        let current = table.snapshot();
        let mut missing = Vec::new();
        for entry in journal {
            for part in entry.parts.iter().filter(|part| part.table == name) {
                if !journal::is_committed(&table, &state, entry.sequence).await? {
                    missing.extend(part.actions.iter().cloned());
                }
            }
        }
        let is_known = current.version() == state.version() && !current.runs_ahead;
        let snapshot = match missing.is_empty() {
            true if is_known => None,
            true => Some(TableSnapshot::new(state, &current.files)?),
            false => Some(TableSnapshot::ahead(state, &current.files, &missing)?),
        };
        moment.push((table, snapshot));
    }
    Ok(moment)
}

//! The indexes of an open database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::definition::{IndexDefinition, IndexKind};
use super::fresh::FreshSegments;
use super::index::{Index, is_left_over};
use crate::{Error, ErrorKind, Result};

/// The indexes of a database. Sessions carry it among the extensions of their settings.
#[derive(Debug)]
pub(crate) struct Indexes {
    directory: PathBuf,
    by_name: RwLock<BTreeMap<String, Arc<Index>>>,
    /// Whether another process may build.
    follows: bool,
    pub(super) fresh: FreshSegments,
}

impl Indexes {
    /// Opens the indexes in `directory`. What killed builders left behind goes, unless the database is open read-only.
    pub(crate) fn open(directory: PathBuf, read_only: bool) -> Self {
        let mut by_name = BTreeMap::new();
        for folder in folders(&directory) {
            match Index::open(&folder) {
                Ok(Some(index)) => {
                    if !read_only {
                        index.sweep();
                    }
                    by_name.insert(index.definition.name.clone(), Arc::new(index));
                }
                Ok(None) if is_left_over(&folder) && !read_only => drop(fs::remove_dir_all(&folder)),
                Ok(None) => {}
                // A database without one of its indexes is slower, not wrong.
                Err(error) => tracing::warn!(folder = %folder.display(), %error, "an index is left out"),
            }
        }
        Self { directory, by_name: RwLock::new(by_name), follows: read_only, fresh: FreshSegments::default() }
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Index>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The index called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Index>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The index of words of a column.
    pub(crate) fn text(&self, table: &str, column: &str) -> Option<Arc<Index>> {
        self.find(table, column, |kind| *kind == IndexKind::Text)
    }

    /// The index of a column's vectors by `metric`.
    pub(crate) fn vectors(&self, table: &str, column: &str, metric: latentdb_vectors::Metric) -> Option<Arc<Index>> {
        self.find(table, column, |kind| matches!(kind, IndexKind::Vector(options) if options.metric == metric))
    }

    fn find(&self, table: &str, column: &str, fits: impl Fn(&IndexKind) -> bool) -> Option<Arc<Index>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let found = by_name.values().find(|index| {
            let definition = &index.definition;
            definition.table == table && definition.column == column && fits(&definition.kind)
        });
        let found = found.cloned();
        if let Some(index) = found.as_ref().filter(|_| self.follows) {
            index.refresh();
        }
        found
    }

    /// Adds an index, which covers nothing yet.
    pub(crate) fn create(&self, definition: IndexDefinition) -> Result<Arc<Index>> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.contains_key(&definition.name) {
            return Err(Error::new(ErrorKind::Duplicate, format!("relation \"{}\" already exists", definition.name))
                .with_hint("give the index another name, or say IF NOT EXISTS"));
        }
        let index = Arc::new(Index::create(&self.directory, definition)?);
        by_name.insert(index.definition.name.clone(), Arc::clone(&index));
        Ok(index)
    }

    /// Deletes an index.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = by_name.get(name) else {
            return Err(Error::new(ErrorKind::UndefinedObject, format!("index \"{name}\" does not exist")));
        };
        index.delete()?;
        by_name.remove(name);
        Ok(())
    }

    /// Deletes the indexes of a table that is gone.
    pub(crate) fn remove_of_table(&self, table: &str) -> Result<()> {
        let own: Vec<String> = self
            .all()
            .iter()
            .filter(|index| index.definition.table == table)
            .map(|index| index.definition.name.clone())
            .collect();
        own.iter().try_for_each(|name| self.remove(name))
    }
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

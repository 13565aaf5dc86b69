//! Which contexts a model has already: each token sequence is stored once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use latentdb_engine::{Engine, Result};

/// Ids of one model's contexts: those in the database, and those that somebody is about to write.
#[derive(Debug)]
pub(crate) struct Contexts {
    known: Mutex<HashSet<i64>>,
}

impl Contexts {
    /// The contexts of `model_id` in the database.
    pub(crate) async fn load(engine: &Engine, model_id: &str) -> Result<Self> {
        let known = engine.context_ids(model_id).await?;
        Ok(Self { known: Mutex::new(known) })
    }

    /// No contexts at all.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self { known: Mutex::new(HashSet::new()) }
    }

    /// Whether the caller is the first to bring `id`, and so must write it.
    pub(crate) fn claim(&self, id: i64) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Takes ids for known: an earlier, interrupted import has written them.
    pub(crate) fn add(&self, ids: &[i64]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether any of `ids` is known.
    pub(crate) fn any_known(&self, ids: &[i64]) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().any(|id| known.contains(id))
    }

    /// The first of `ids` that nobody has stored or is about to.
    pub(crate) fn first_missing(&self, ids: &[i64]) -> Option<i64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().copied().find(|id| !known.contains(id))
    }
}

//! The sessions of an engine, for `pg_stat_activity`, and columns of views, for the catalogues.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use arrow::datatypes::SchemaRef;

use super::conversation::Conversation;
use crate::pg_catalog::Activity;

/// The sessions that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<Vec<Weak<Conversation>>>,
}

impl Sessions {
    /// Takes note of a new session, and forgets those that ended.
    pub(crate) fn add(&self, session: &Arc<Conversation>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| session.strong_count() > 0);
        open.push(Arc::downgrade(session));
    }

    /// What each session does.
    pub(crate) fn activity(&self) -> Vec<Activity> {
        self.all().iter().map(|session| session.activity()).collect()
    }

    /// The session whose number is `process_id`.
    pub(crate) fn find(&self, process_id: i32) -> Option<Arc<Conversation>> {
        self.all().into_iter().find(|session| session.vars().process_id() == process_id)
    }

    fn all(&self) -> Vec<Arc<Conversation>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Columns of views, which only planning can tell.
#[derive(Debug, Default)]
pub(crate) struct ViewSchemas {
    by_name: RwLock<HashMap<String, SchemaRef>>,
}

impl ViewSchemas {
    pub(crate) fn get(&self, name: &str) -> Option<SchemaRef> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn put(&self, name: &str, schema: SchemaRef) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), schema);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

//! Shared values behind a pointer that hides their type from other crates.
//!
//! A session holds plans, catalogues and tables. A crate that keeps one in a future has the compiler ask of every type within
//! whether it may move between threads and how it is dropped, over again for each future; it came to several minutes. Behind a
//! trait object the answers are in the object.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// An `Arc<T>` of hidden type.
pub(crate) struct Erased<T>(Arc<dyn Holds<T>>);

trait Holds<T>: Send + Sync {
    fn held(&self) -> &Arc<T>;
}

impl<T: Send + Sync> Holds<T> for Arc<T> {
    fn held(&self) -> &Arc<T> {
        self
    }
}

impl<T: Send + Sync + 'static> From<Arc<T>> for Erased<T> {
    fn from(value: Arc<T>) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Erased<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Erased<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        self.0.held()
    }
}

impl<T: fmt::Debug> fmt::Debug for Erased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.held().fmt(f)
    }
}

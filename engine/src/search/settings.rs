//! Settings of searches, as a session carries them.

use datafusion::execution::SessionState;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SearchSettings {
    /// Whether indexes are used at all.
    pub use_indexes: bool,
    /// Whether the nearest vectors are found by comparing all.
    pub vector_exact: bool,
    /// Candidates that a walk through a graph keeps; none for what was found good enough when it was built.
    pub vector_ef: Option<usize>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { use_indexes: true, vector_exact: false, vector_ef: None }
    }
}

impl SearchSettings {
    /// Those of the session that `state` is of.
    pub(crate) fn of(state: &SessionState) -> Self {
        state.config().get_extension::<Self>().map_or_else(Self::default, |settings| *settings)
    }
}

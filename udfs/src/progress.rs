//! How a run over a corpus tells how far it is.

use std::fmt;

/// A part of the work, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and tokenising the corpus; counted in prompts.
    Corpus,
    /// Running the model; counted in prompts.
    Activations,
    /// Making dashboards; counted in features.
    Dashboards,
    /// Finding the nearest of each vector; counted in vectors.
    Neighbors,
    /// Laying vectors out; counted in epochs.
    Layout,
    /// Making everything visible.
    Committing,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corpus => "reading the corpus",
            Self::Activations => "running the model",
            Self::Dashboards => "making dashboards",
            Self::Neighbors => "finding neighbours",
            Self::Layout => "laying out",
            Self::Committing => "committing",
        })
    }
}

/// Hears how far a run is. Implementations must be quick.
pub trait Stages: Send + Sync {
    /// A stage begins, of which `done` out of `total` is done already.
    fn begin(&self, stage: Stage, done: u64, total: u64);

    /// So many more are done.
    fn advance(&self, done: u64);
}

/// Tells the log.
#[derive(Debug, Default)]
pub struct Logged;

impl Stages for Logged {
    fn begin(&self, stage: Stage, done: u64, total: u64) {
        tracing::info!(%stage, done, total, "a run over a corpus");
    }

    fn advance(&self, _done: u64) {}
}

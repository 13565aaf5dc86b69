//! The one error type of this crate.

use std::io;
use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vector has another length than the others.
    #[error("a vector of {found} dimensions where {expected} are expected")]
    Dimension {
        /// What the segment or the other operand has.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A component is NaN or infinite.
    #[error("component {component} of the vector is not a finite number")]
    NotFinite {
        /// The first such component, from 0.
        component: usize,
    },
    /// The vector is too long for its squared length to be an `f32`.
    #[error("the vector is too long: its squared length exceeds what 32-bit floats hold")]
    TooLong,
    /// A vector without direction, where directions are compared.
    #[error("the cosine distance of a zero vector is not defined")]
    ZeroVector,
    /// Rows must be added in ascending order, each once.
    #[error("row {row} was added after row {previous}")]
    RowOrder {
        /// The row before.
        previous: u32,
        /// The row that does not come after it.
        row: u32,
    },
    /// An argument of building or searching is out of its range.
    #[error("{0}")]
    Argument(&'static str),
    /// The caller asked to stop.
    #[error("building the vector segment was cancelled")]
    Cancelled,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a segment, or not an undamaged one.
    #[error("{}: damaged vector segment: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A segment of a format that this version does not read.
    #[error("{}: vector segment of format {found}, this version reads format {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// Ours.
        expected: u32,
    },
}

impl Error {
    /// For `map_err`: an error of the system with the file's name.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

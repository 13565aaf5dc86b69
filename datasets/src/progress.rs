//! How long-running work tells how far it is, without knowing whether a terminal, a log or nobody listens.

use std::fmt;

/// A part of the work, in the order in which parts happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking for sources and listing their files.
    Listing,
    /// Reading input files and writing data files.
    Reading,
    /// Putting small data files together.
    Merging,
    /// Making everything visible.
    Committing,
    /// Writing the files of an export.
    Writing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Listing => "listing",
            Phase::Reading => "reading",
            Phase::Merging => "merging",
            Phase::Committing => "committing",
            Phase::Writing => "writing",
        })
    }
}

/// Hears how far the work is. Called from many threads, and often: implementations must be quick.
pub trait Progress: Send + Sync {
    /// `phase` begins on `subject` (a source's address, or a location). `total_bytes` is the size of
    /// the input it will read, where that is known.
    fn begin(&self, phase: Phase, subject: &str, total_bytes: Option<u64>);

    /// So many more rows are done, from so many more bytes of input (as stored: compressed).
    fn advance(&self, rows: u64, bytes: u64);

    /// Something a person should read: a remark, or a warning.
    fn note(&self, message: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _phase: Phase, _subject: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _rows: u64, _bytes: u64) {}
    fn note(&self, _message: &str) {}
}

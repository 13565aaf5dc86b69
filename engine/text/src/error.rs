//! The one error type of text search.

use std::fmt;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The query's text is not in the query language.
    Syntax,
    /// The query or the segment is larger than its limits allow.
    TooLarge,
    /// Arguments that do not fit together: a query and a segment that cut text into words differently.
    InvalidInput,
    /// A segment's file is damaged, or is no segment.
    Damaged,
    /// A file could not be read or written.
    Io,
    /// A fault in this crate or in a library below it.
    Internal,
}

/// A failure, and in a query's text the place that it is about.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    at: Option<usize>,
}

impl Error {
    /// An error of `kind`; `message` is lower case, names the object, and ends without a full stop.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), at: None }
    }

    pub(crate) fn syntax(at: usize, message: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::new(ErrorKind::Syntax, message) }
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    pub(crate) fn damaged(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Damaged, format!("the text segment is damaged: {what}"))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The byte of the query's text that a [`ErrorKind::Syntax`] error is about.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{} (at byte {at} of the query)", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string())
    }
}

impl From<tantivy::TantivyError> for Error {
    fn from(error: tantivy::TantivyError) -> Self {
        use tantivy::TantivyError as Fault;
        let kind = match error {
            Fault::IoError(_) => ErrorKind::Io,
            Fault::DataCorruption(_) | Fault::OpenReadError(_) | Fault::IncompatibleIndex(_) => ErrorKind::Damaged,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

//! The one error type of the runtime.

use std::fmt;

/// Result with the runtime's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A model, source, file, layer or feature does not exist.
    NotFound,
    /// An argument is out of range or malformed: a prompt longer than the context, a vector of NaNs.
    InvalidInput,
    /// A file's content is damaged or is not what its format says.
    BadFile,
    /// The family, architecture or format is not one that the runtime knows.
    Unsupported,
    /// The caller asked to stop.
    Cancelled,
    /// Memory is used up.
    OutOfMemory,
    /// A file could not be read.
    Io,
    /// A fault in the runtime or in a library below it.
    Internal,
}

/// A failure, with what it is about and, where one is known, a remedy.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// An error of `kind`; `message` is lower case, names the object, and ends without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Puts what was being done in front of the message: a file, a layer, a tensor.
    pub fn within(self, context: impl fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// A tensor operation that fails is our fault, unless the memory is used up: shapes of files and of arguments
/// are checked before they meet.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // What follows the first line is a backtrace.
        let message = error.to_string().lines().next().unwrap_or_default().to_owned();
        let is_memory = message.contains("OUT_OF_MEMORY") || message.contains("out of memory");
        Self::new(if is_memory { ErrorKind::OutOfMemory } else { ErrorKind::Internal }, message)
    }
}

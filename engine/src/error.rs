//! The one error type of the engine's public interface.
//!
//! Inside, parts fail with whatever their library gives them; at the edge every failure is an
//! [`Error`]: a [`ErrorKind`] that maps to one SQLSTATE and one HTTP status, a message that names
//! the object, and where it helps a hint that names the remedy.

use std::fmt;

use datafusion::error::DataFusionError;

/// Result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms a client can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The statement is not SQL we can read (42601).
    Syntax,
    /// A table or view does not exist (42P01).
    UndefinedTable,
    /// A column does not exist (42703).
    UndefinedColumn,
    /// A function, procedure or operator does not exist, or not with these arguments (42883).
    UndefinedFunction,
    /// Another object that is named does not exist: an option, a setting, a prepared statement (42704).
    UndefinedObject,
    /// A column, table or name matches more than one thing (42702).
    Ambiguous,
    /// The object exists already (42P07).
    Duplicate,
    /// Types do not fit together (42804).
    TypeMismatch,
    /// A value is out of range or malformed: bad input text, a bad option value (22023).
    InvalidValue,
    /// A number is divided by zero (22012).
    DivisionByZero,
    /// Input rows are malformed: COPY and import (22P04).
    BadInput,
    /// A constraint is violated: a null in a column that has none, a duplicate key (23000).
    Constraint,
    /// The feature is not there (0A000).
    Unsupported,
    /// A concurrent write won; run the transaction again (40001).
    Conflict,
    /// The transaction failed earlier and must be rolled back (25P02).
    FailedTransaction,
    /// The database is open read-only here (25006).
    ReadOnly,
    /// The caller may not do this (42501).
    Permission,
    /// The caller asked to stop, or a timeout did (57014).
    Cancelled,
    /// Memory, disk or another limit is used up (53200).
    Resources,
    /// Stored data is damaged (XX001).
    Corrupt,
    /// A file, directory or object store could not be read or written (58030).
    Io,
    /// A fault in LatentDB itself (XX000).
    Internal,
}

impl ErrorKind {
    /// The five-character SQLSTATE of this kind.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Syntax => "42601",
            Self::UndefinedTable => "42P01",
            Self::UndefinedColumn => "42703",
            Self::UndefinedFunction => "42883",
            Self::UndefinedObject => "42704",
            Self::Ambiguous => "42702",
            Self::Duplicate => "42P07",
            Self::TypeMismatch => "42804",
            Self::InvalidValue => "22023",
            Self::DivisionByZero => "22012",
            Self::BadInput => "22P04",
            Self::Constraint => "23000",
            Self::Unsupported => "0A000",
            Self::Conflict => "40001",
            Self::FailedTransaction => "25P02",
            Self::ReadOnly => "25006",
            Self::Permission => "42501",
            Self::Cancelled => "57014",
            Self::Resources => "53200",
            Self::Corrupt => "XX001",
            Self::Io => "58030",
            Self::Internal => "XX000",
        }
    }
}

/// A failure, as the engine's callers see it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    /// Line and column of the fault, counted from 1, while the text they are of is not at hand.
    place: Option<(u64, u64)>,
}

impl Error {
    /// An error of `kind`; `message` is lower case, names the object, and ends without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None, position: None, place: None }
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what a reader may want to know and most will not.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds where in the statement's text the fault lies: a character offset, counted from 1.
    pub fn with_position(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// Adds where the fault lies, as line and column of a text that is not at hand.
    pub(crate) fn with_place(mut self, place: (u64, u64)) -> Self {
        self.place = self.place.or(Some(place));
        self
    }

    /// Forgets where the fault lies.
    pub(crate) fn without_place(self) -> Self {
        Self { place: None, ..self }
    }

    /// Line and column of the fault, if no position is known yet.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        self.place.filter(|_| self.position.is_none())
    }

    /// Names the function that failed, unless the message does.
    pub(crate) fn about_function(mut self, function: &str) -> Self {
        if !self.message.contains(function) {
            self.message = format!("function {function}: {}", self.message);
        }
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The SQLSTATE clients see.
    pub fn sqlstate(&self) -> &'static str {
        self.kind.sqlstate()
    }

    /// The message without hint and detail.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// More about the failure, if there is more to say.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The remedy, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Character offset in the statement, counted from 1.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// The error that a statement ends with when its caller cancels it.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "canceling statement due to user request")
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

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

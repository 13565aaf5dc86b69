//! Errors of the search libraries as the engine's.

use crate::{Error, ErrorKind};

pub(crate) fn from_vectors(error: latentdb_vectors::Error) -> Error {
    use latentdb_vectors::Error as Vectors;
    let kind = match error {
        Vectors::Dimension { .. } | Vectors::NotFinite { .. } | Vectors::TooLong | Vectors::ZeroVector => {
            ErrorKind::InvalidValue
        }
        Vectors::Argument(_) => ErrorKind::InvalidValue,
        Vectors::Cancelled => return Error::cancelled(),
        Vectors::Io { .. } => ErrorKind::Io,
        Vectors::Damaged { .. } | Vectors::Version { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, error.to_string())
}

pub(crate) fn from_text(error: latentdb_text::Error) -> Error {
    use latentdb_text::ErrorKind as Text;
    let kind = match error.kind() {
        Text::Syntax | Text::TooLarge | Text::InvalidInput => ErrorKind::InvalidValue,
        Text::Damaged => ErrorKind::Corrupt,
        Text::Io => ErrorKind::Io,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, error.to_string())
}

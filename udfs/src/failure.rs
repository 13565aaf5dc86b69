//! The runtime's errors, as the engine's.

use latentdb_engine::{Error, ErrorKind};
use latentdb_runtime::{Error as RuntimeError, ErrorKind as RuntimeKind};

/// The engine's error for a failure of the runtime.
pub(crate) fn from_runtime(error: RuntimeError) -> Error {
    let kind = match error.kind() {
        RuntimeKind::NotFound => ErrorKind::UndefinedObject,
        RuntimeKind::InvalidInput => ErrorKind::InvalidValue,
        RuntimeKind::BadFile => ErrorKind::Corrupt,
        RuntimeKind::Unsupported => ErrorKind::Unsupported,
        RuntimeKind::Cancelled => ErrorKind::Cancelled,
        RuntimeKind::OutOfMemory => ErrorKind::Resources,
        RuntimeKind::Io => ErrorKind::Io,
        _ => ErrorKind::Internal,
    };
    let translated = Error::new(kind, error.message());
    match error.hint() {
        Some(hint) => translated.with_hint(hint),
        None => translated,
    }
}

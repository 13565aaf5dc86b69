//! How storage failures look from outside: library errors become ours, once, here.

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;

use crate::{Error, ErrorKind};

/// An error of the Delta library.
pub(crate) fn delta_error(error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::Transaction { source } => match source {
            TransactionError::CommitConflict(conflict) => {
                Error::new(ErrorKind::Conflict, format!("a concurrent write got ahead: {conflict}"))
                    .with_hint("run the statement again")
            }
            TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_) => {
                Error::new(ErrorKind::Conflict, "other writers kept getting ahead").with_hint("run the statement again")
            }
            other => Error::new(ErrorKind::Io, format!("the table's log could not be written: {other}")),
        },
        DeltaTableError::ObjectStore { source } => store_error(source),
        DeltaTableError::InvalidVersion(version) => {
            Error::new(ErrorKind::UndefinedObject, format!("version {version} of the table does not exist"))
        }
        DeltaTableError::Parquet { source } => {
            Error::new(ErrorKind::Corrupt, format!("a data file is damaged: {source}"))
        }
        DeltaTableError::InvalidJsonLog { line, version, .. } => {
            Error::new(ErrorKind::Corrupt, format!("the table's log is damaged at version {version}: {line}"))
        }
        other => Error::new(ErrorKind::Io, format!("the table's log: {other}")),
    }
}

/// An error of the object store.
pub(crate) fn store_error(error: object_store::Error) -> Error {
    let kind = match &error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::Permission
        }
        _ => ErrorKind::Io,
    };
    let text = error.to_string();
    let out_of_space = text.contains("os error 28");
    let error = Error::new(kind, format!("storage: {text}"));
    if out_of_space { error.with_hint("the disk is full: free some space and run the statement again") } else { error }
}

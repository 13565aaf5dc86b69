//! The writer's lock: one process writes a local database at a time.
//!
//! The lock is the operating system's lock on `LOCK`, so it goes with the process however it ends.
//! `OWNER`, beside it, says who holds it, for the message that a second process prints.

use std::fs::{self, File};
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Held while this process may write the database.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of the database in `directory`; `None` if another process holds it.
    pub(crate) fn try_acquire(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("LOCK");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot open {}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) if error.kind() == IoErrorKind::Unsupported => {
                return Err(Error::new(ErrorKind::Io, format!("{} cannot be locked: {error}", path.display()))
                    .with_hint("the file system has no locks: open the database read-only, or move it to a local disk"));
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(Error::new(ErrorKind::Io, format!("cannot lock {}: {error}", path.display())));
            }
        }
        // For people only: a stale or missing OWNER changes nothing.
        let _ = fs::write(directory.join("OWNER"), format!("process {}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }

    /// The error for a process that came second.
    pub(crate) fn held(directory: &Path) -> Error {
        let owner = fs::read_to_string(directory.join("OWNER")).unwrap_or_else(|_| "another process".to_owned());
        Error::new(ErrorKind::ReadOnly, format!("{} is open for writing by {}", directory.display(), owner.trim()))
            .with_hint("connect to that process (psql, HTTP), stop it, or open the database read-only")
    }
}

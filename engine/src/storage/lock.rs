//! The writer's lock: one process writes a database at a time.
//!
//! For a local database it is the operating system's lock on `LOCK`, so it goes with the process however it
//! ends. `OWNER`, beside it, says who holds it, for the message that a second process prints. A database in an
//! object store has a [`Lease`] instead.

use std::fs::{self, File};
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;

use super::lease::Lease;
use super::location::Location;
use crate::{Error, ErrorKind, Result};

/// This process, in words.
pub(super) fn owner() -> String {
    let process = format!("process {}", std::process::id());
    match fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("{process} on {}", host.trim()),
        Err(_) => process,
    }
}

/// Held while this process may write the database.
#[derive(Debug)]
pub(crate) enum WriterLock {
    /// Of a database in a directory.
    File(#[expect(dead_code, reason = "closing the file gives the lock back")] File),
    /// Of a database in an object store.
    Lease(Lease),
}

impl WriterLock {
    /// Takes the lock of the database at `location`; fails with [`ErrorKind::ReadOnly`] if another process
    /// holds it.
    pub(crate) async fn acquire(location: &Location) -> Result<Self> {
        match location.local_directory() {
            Some(directory) => Self::try_lock(directory)?.ok_or_else(|| Self::held(directory)),
            None => Lease::acquire(location).await.map(Self::Lease),
        }
    }

    /// Fails if the lock may be lost.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Lease(lease) => lease.check(),
        }
    }

    /// Gives the lock back.
    pub(crate) async fn release(self) {
        match self {
            Self::File(_) => {}
            Self::Lease(lease) => lease.release().await,
        }
    }

    fn try_lock(directory: &Path) -> Result<Option<Self>> {
        super::durable::create_directories(directory)
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot create {}: {error}", directory.display())))?;
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
                    .with_hint(
                        "the file system has no locks: open the database read-only, or move it to a local disk",
                    ));
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(Error::new(ErrorKind::Io, format!("cannot lock {}: {error}", path.display())));
            }
        }
        // For people only: a stale or missing OWNER changes nothing.
        let _ = fs::write(directory.join("OWNER"), owner());
        Ok(Some(Self::File(file)))
    }

    /// The error for a process that came second.
    pub(crate) fn held(directory: &Path) -> Error {
        let owner = fs::read_to_string(directory.join("OWNER")).unwrap_or_else(|_| "another process".to_owned());
        Error::new(ErrorKind::ReadOnly, format!("{} is open for writing by {}", directory.display(), owner.trim()))
            .with_hint("connect to that process (psql, HTTP), stop it, or open the database read-only")
    }
}

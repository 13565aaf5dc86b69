//! The right to write a database in an object store.
//!
//! A store has no locks that go with a process, so the right to write is an object that its holder keeps
//! writing anew. Who finds it unchanged for a term may take it. Every write of the object is conditional
//! on what was read before, so of two newcomers one gets it. A holder that could not write it for most of a
//! term counts its right as lost, and has stopped writing the database by the time another may begin.
//!
//! No clocks are compared: everyone measures terms by their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::failure::store_error;
use super::location::Location;
use super::lock::owner;
use crate::{Error, ErrorKind, Result};

/// The object, within the database.
const OBJECT: &str = "_latentdb/writer.json";
/// How things are timed.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long an unchanged object keeps others from writing.
    term: Duration,
    /// How long after its last renewal a holder still writes the database. What remains of the term is for
    /// writes that are under way then.
    trust: Duration,
    /// How often the holder writes the object.
    renewal: Duration,
    /// How often a newcomer looks whether the object changed.
    glance: Duration,
}

const PACE: Pace = Pace {
    term: Duration::from_secs(10),
    trust: Duration::from_secs(6),
    renewal: Duration::from_secs(2),
    glance: Duration::from_millis(500),
};

/// What the object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    /// Whose right it is, for people.
    owner: String,
    /// The holder, unlike any other.
    holder: String,
    /// Rises with every renewal, so that no two states of the object are alike.
    renewal: u64,
    /// Whether the holder has given the right back.
    released: bool,
}

/// The right to write, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Lease {
    record: Arc<Record>,
    renewing: tokio::task::JoinHandle<()>,
}

/// The object and what is known of it.
#[derive(Debug)]
struct Record {
    store: Arc<dyn ObjectStore>,
    path: Path,
    pace: Pace,
    last: Mutex<Last>,
}

/// The last renewal that succeeded.
#[derive(Debug, Clone)]
struct Last {
    claim: Claim,
    version: UpdateVersion,
    at: Instant,
    /// Somebody else has written the object since.
    taken: bool,
}

impl Lease {
    /// Takes the right to write the database at `location`; fails with [`ErrorKind::ReadOnly`] if somebody
    /// else holds it.
    pub(crate) async fn acquire(location: &Location) -> Result<Self> {
        Self::acquire_at(PACE, location).await
    }

    async fn acquire_at(pace: Pace, location: &Location) -> Result<Self> {
        let (store, path) = (Arc::clone(location.store()), location.path(OBJECT));
        let claim = Claim { owner: owner(), holder: uuid::Uuid::new_v4().to_string(), renewal: 0, released: false };
        loop {
            let mode = match read(&store, &path).await? {
                None => PutMode::Create,
                Some((found, version)) if found.released => PutMode::Update(version),
                Some((found, version)) => {
                    tracing::warn!(owner = %found.owner, "looking whether the database's last writer still writes it");
                    watch(&store, &path, &found, pace).await?;
                    PutMode::Update(version)
                }
            };
            let at = Instant::now();
            match write(&store, &path, &claim, mode).await {
                Ok(version) => {
                    let last = Mutex::new(Last { claim, version, at, taken: false });
                    let record = Arc::new(Record { store, path, pace, last });
                    let renewing = tokio::spawn(Arc::clone(&record).renew());
                    return Ok(Self { record, renewing });
                }
                // Somebody was faster: see who.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
    }

    /// Fails if the right may be lost.
    pub(crate) fn check(&self) -> Result<()> {
        let last = self.record.last();
        if !last.taken && last.at.elapsed() < self.record.pace.trust {
            return Ok(());
        }
        let reason = if last.taken { "another process has taken it over" } else { "the object store does not answer" };
        Err(Error::new(ErrorKind::ReadOnly, format!("the right to write the database is lost: {reason}"))
            .with_hint("restart this process to write again"))
    }

    /// Gives the right back. Nothing of this process writes the database any more.
    pub(crate) async fn release(self) {
        self.renewing.abort();
        let Last { claim, version, taken, .. } = self.record.last();
        if taken {
            return;
        }
        let claim = Claim { released: true, renewal: claim.renewal + 1, ..claim };
        // If this fails, the next writer waits a term.
        if let Err(error) = write(&self.record.store, &self.record.path, &claim, PutMode::Update(version)).await {
            tracing::debug!(%error, "could not give back the right to write");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Record {
    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.pace.renewal).await;
            let Last { claim, version, .. } = self.last();
            let claim = Claim { renewal: claim.renewal + 1, ..claim };
            let at = Instant::now();
            let written = write(&self.store, &self.path, &claim, PutMode::Update(version)).await;
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            match written {
                Ok(version) => *last = Last { claim, version, at, taken: false },
                Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => {
                    tracing::error!("another process has taken over the right to write the database");
                    last.taken = true;
                    return;
                }
                Err(error) => tracing::warn!(%error, "could not renew the right to write the database"),
            }
        }
    }
}

/// Waits for a term in which the object stays as it is; fails if it changes.
async fn watch(store: &Arc<dyn ObjectStore>, path: &Path, found: &Claim, pace: Pace) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < pace.term {
        tokio::time::sleep(pace.glance).await;
        match read(store, path).await? {
            Some((claim, _)) if claim.released => return Ok(()),
            Some((claim, _)) if claim == *found => {}
            Some((claim, _)) => {
                return Err(Error::new(
                    ErrorKind::ReadOnly,
                    format!("the database is open for writing by {}", claim.owner),
                )
                .with_hint("connect to that process (psql, HTTP), stop it, or open the database read-only"));
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Option<(Claim, UpdateVersion)>> {
    let found = match store.get(path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(store_error(error)),
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let bytes = found.bytes().await.map_err(store_error)?;
    let claim = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Corrupt, format!("{path}, which says who writes the database, is damaged: {error}"))
            .with_hint("delete it once no process writes the database")
    })?;
    Ok(Some((claim, version)))
}

async fn write(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    claim: &Claim,
    mode: PutMode,
) -> object_store::Result<UpdateVersion> {
    let bytes = serde_json::to_vec(claim)
        .map_err(|error| object_store::Error::Generic { store: "lease", source: Box::new(error) })?;
    let written = store.put_opts(path, PutPayload::from(bytes), PutOptions { mode, ..PutOptions::default() }).await?;
    Ok(UpdateVersion { e_tag: written.e_tag, version: written.version })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use object_store::memory::InMemory;

    use super::*;

    const QUICK: Pace = Pace {
        term: Duration::from_millis(600),
        trust: Duration::from_millis(400),
        renewal: Duration::from_millis(50),
        glance: Duration::from_millis(20),
    };

    fn place() -> Location {
        Location::in_store(Arc::new(InMemory::new()))
    }

    #[tokio::test]
    async fn a_second_writer_is_refused_while_the_first_renews() {
        let place = place();
        let first = Lease::acquire_at(QUICK, &place).await.unwrap();
        let refused = Lease::acquire_at(QUICK, &place).await.expect_err("the first still writes");
        assert_eq!(refused.kind(), ErrorKind::ReadOnly);
        tokio::time::sleep(QUICK.term * 2).await;
        first.check().unwrap();
    }

    #[tokio::test]
    async fn a_right_given_back_is_free_at_once_and_one_left_behind_after_a_term() {
        let place = place();
        Lease::acquire_at(QUICK, &place).await.unwrap().release().await;
        let started = Instant::now();
        let second = Lease::acquire_at(QUICK, &place).await.unwrap();
        assert!(started.elapsed() < QUICK.term / 2);
        // As a crash leaves it.
        second.renewing.abort();
        let third = Lease::acquire_at(QUICK, &place).await.unwrap();
        assert!(started.elapsed() >= QUICK.term);
        assert!(second.check().is_err(), "the first of two holders has noticed in time");
        third.check().unwrap();
    }
}

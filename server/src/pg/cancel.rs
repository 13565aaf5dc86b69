//! Cancel requests: they come on a connection of their own and name the one they mean by process id and
//! secret.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use latentdb_engine::Session;
use pgwire::messages::startup::SecretKey;
use subtle::ConstantTimeEq;

/// All connections that can be cancelled.
#[derive(Debug, Default)]
pub(super) struct CancelRegistry {
    next_process_id: AtomicI32,
    entries: Mutex<HashMap<i32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    secret: Bytes,
    session: Session,
}

/// A connection's place in the registry; given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<CancelRegistry>,
    process_id: i32,
}

impl CancelRegistry {
    /// A process id that no other open connection of this server has.
    pub(super) fn process_id(&self) -> i32 {
        // Ids start at 1 and stay positive, as those of processes do.
        1 + (self.next_process_id.fetch_add(1, Ordering::Relaxed) & (i32::MAX >> 1))
    }

    /// Lets whoever knows `secret` cancel what `session` runs.
    pub(super) fn register(self: &Arc<Self>, process_id: i32, secret: &SecretKey, session: Session) -> Registration {
        self.entries().insert(process_id, Entry { secret: secret.to_bytes(), session });
        Registration { registry: Arc::clone(self), process_id }
    }

    /// Cancels the statement that connection `process_id` runs now, if `secret` is its secret. Nothing
    /// tells the caller whether it was.
    pub(super) fn cancel(&self, process_id: i32, secret: &SecretKey) {
        let session = match self.entries().get(&process_id) {
            Some(entry) if bool::from(entry.secret.ct_eq(&secret.to_bytes())) => entry.session.clone(),
            _ => return,
        };
        session.cancel();
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.process_id);
    }
}

/// A secret for a connection: as long as its protocol version allows.
pub(super) fn secret(long: bool) -> SecretKey {
    if long {
        SecretKey::Bytes(Bytes::copy_from_slice(&rand::random::<[u8; 32]>()))
    } else {
        SecretKey::I32(rand::random())
    }
}

//! What a statement says while it runs, for whoever waits for it, and how far it is, for whoever looks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Remarks that nobody has read yet; older ones are dropped.
const UNREAD: usize = 64;

/// How far a long statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The part that is under way.
    pub stage: String,
    /// What is counted: `rows`, `prompts`.
    pub unit: &'static str,
    /// What is done of the part.
    pub done: u64,
    /// How much the part is, if that is known.
    pub total: Option<u64>,
}

/// A session's remarks. Clones say to the same listeners.
#[derive(Debug, Clone)]
pub struct Notices {
    sender: broadcast::Sender<String>,
    reached: Arc<Mutex<Option<Reached>>>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(UNREAD), reached: Arc::default() }
    }

    /// Says something to those who listen; nothing happens if nobody does.
    pub fn say(&self, remark: impl Into<String>) {
        // Fails only if nobody listens.
        let _ = self.sender.send(remark.into());
    }

    /// Notes how far the statement is.
    pub fn reach(&self, reached: Reached) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(reached);
    }

    /// Notes that so much more of the part that is under way is done.
    pub fn advance(&self, done: u64) {
        if let Some(reached) = self.reached.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            reached.done += done;
        }
    }

    /// How far the session's last long statement came.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener { receiver: self.sender.subscribe() }
    }
}

/// Hears what a session's statements say, from when it was made.
#[derive(Debug)]
pub struct Listener {
    receiver: broadcast::Receiver<String>,
}

impl Listener {
    /// The next remark. Waits for ever once the session is gone. Safe to drop and call again.
    pub async fn next(&mut self) -> String {
        loop {
            match self.receiver.recv().await {
                Ok(remark) => return remark,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Notices, Reached, UNREAD};

    #[test]
    fn what_is_done_adds_up_until_the_next_part_begins() {
        let notices = Notices::new();
        notices.advance(1);
        assert_eq!(notices.reached(), None, "nothing has begun");
        let begun = Reached { stage: "reading".to_owned(), unit: "rows", done: 2, total: Some(10) };
        notices.reach(begun.clone());
        notices.clone().advance(3);
        assert_eq!(notices.reached(), Some(Reached { done: 5, ..begun.clone() }));
        notices.reach(begun.clone());
        assert_eq!(notices.reached(), Some(begun));
    }

    #[tokio::test]
    async fn a_listener_hears_what_is_said_after_it_came_and_the_last_of_too_much() {
        let notices = Notices::new();
        notices.say("to nobody");
        let mut listener = notices.listen();
        notices.say("one");
        assert_eq!(listener.next().await, "one");
        (0..UNREAD * 2).for_each(|number| notices.say(number.to_string()));
        assert_eq!(listener.next().await, UNREAD.to_string());
    }
}

//! What a statement says while it runs, for whoever waits for it.

use tokio::sync::broadcast;

/// Remarks that nobody has read yet; older ones are dropped.
const UNREAD: usize = 64;

/// A session's remarks. Clones say to the same listeners.
#[derive(Debug, Clone)]
pub struct Notices {
    sender: broadcast::Sender<String>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(UNREAD) }
    }

    /// Says something to those who listen; nothing happens if nobody does.
    pub fn say(&self, remark: impl Into<String>) {
        // Fails only if nobody listens.
        let _ = self.sender.send(remark.into());
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
    use super::{Notices, UNREAD};

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

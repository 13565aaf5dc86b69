//! What a caller gets: the text as it grows.

use std::task::{Context, Poll};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::lens::PositionReadout;
use crate::{Error, ErrorKind, Result};

/// A text that is being generated. Dropping it cancels. Events never outnumber the tokens asked for by more than one, and where
/// something is read out the positions twice, so a slow reader holds nobody up.
#[derive(Debug)]
pub struct Generation {
    events: UnboundedReceiver<Result<Event>>,
    is_over: bool,
}

/// What happens to a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token is added.
    Token(Token),
    /// The model has read a token: what it is thought to say next.
    Read(Read),
    /// The text is whole; nothing follows.
    Finish(Finish),
}

/// A generated token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Text that is now certain: whole characters, and none that may be the start of a stop string. What is held back comes
    /// with a later token, or with the [`Finish`].
    pub text: String,
    /// Its log-probability, if asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens with their log-probabilities, likeliest first; as many as asked for.
    pub top: Vec<(u32, f32)>,
}

/// What was read out at a position.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Position, from 0.
    pub position: usize,
    /// The token there.
    pub token: u32,
    /// What it says.
    pub said: PositionReadout,
}

/// How a text ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// Text that had been held back.
    pub text: String,
}

/// Why a text ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// A token that ends texts was chosen; it is not among the tokens.
    Stop(u32),
    /// A stop string occurred.
    StopString(String),
    /// It has as many tokens as asked for, or as the context holds.
    Length,
}

/// A whole text.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// The text, without the prompt.
    pub text: String,
    /// Why it ended.
    pub reason: FinishReason,
}

impl Generation {
    /// A text that an engine tells of.
    pub(crate) fn of(events: UnboundedReceiver<Result<Event>>) -> Self {
        Self { events, is_over: false }
    }

    /// The next event; none after the last.
    ///
    /// # Errors
    /// What the pass failed with; nothing follows an error.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for streams.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = self.events.poll_recv(context);
        next.map(|event| {
            let event = event.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "the model's worker is gone")));
            self.is_over = !matches!(event, Ok(Event::Token(_) | Event::Read(_)));
            Some(event)
        })
    }

    /// Waits for the whole text.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn whole(mut self) -> Result<Completion> {
        let (mut tokens, mut text) = (Vec::new(), String::new());
        while let Some(event) = self.next().await {
            match event? {
                Event::Token(token) => {
                    text.push_str(&token.text);
                    tokens.push(token);
                }
                Event::Read(_) => {}
                Event::Finish(finish) => {
                    text.push_str(&finish.text);
                    return Ok(Completion { tokens, text, reason: finish.reason });
                }
            }
        }
        Err(Error::new(ErrorKind::Internal, "a text ended without saying why"))
    }
}

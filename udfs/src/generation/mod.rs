//! Generating text, steered or not: what SQL and HTTP ask for, brought to the runtime's engine.
//!
//! Both ask by [`TextRequest`], so the same request gives the same text whichever door it comes through.

mod request;
mod steering;

pub use latentdb_runtime::generate::{Completion, Event, Finish, FinishReason, Generation, Sampling, Stop, Token};
pub use latentdb_runtime::tokens::Message;

pub use self::request::{Prompt, Started, TextRequest};
pub use self::steering::{Method, Steering};

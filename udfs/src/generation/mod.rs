//! Generating text, steered or not: what SQL and HTTP ask for, brought to the runtime's engine.
//!
//! Both ask by [`TextRequest`], so the same request gives the same text whichever door it comes through.

mod lens;
mod request;
mod shifts;
mod steering;
mod thoughts;

pub use latentdb_runtime::generate::{
    Completion, Event, Finish, FinishReason, Generation, Read, Sampling, Stop, Token,
};
pub use latentdb_runtime::lens::TokenLogit;
pub use latentdb_runtime::tokens::{ChatOptions, Message};

pub use self::lens::{LensKind, LensRequest, LensSteering, LensToken, StartedLens, TokenChange};
pub use self::request::{Prompt, Started, TextRequest};
pub use self::shifts::{Shift, ShiftRequest, Shifted, TokenLogits};
pub use self::steering::{Method, Steering};
pub use self::thoughts::{Part, Thoughts};

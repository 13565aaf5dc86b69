//! Generation: many requests, steered or not, in one batch.
//!
//! The engine belongs to a model's worker. A request waits until there is room for it, has its prompt read (alone, so that
//! batch mates cannot change a bit of it), and then takes part in every step with all the others that are running: one pass
//! with one token of each. It leaves when it is done or nobody listens any more, and its cache is freed before the next
//! step. Every request has its own cache, random numbers and interventions.

mod engine;
mod handle;
mod options;
mod request;
mod sampler;
mod sequence;
mod stops;
mod text;

pub(crate) use engine::{Engine, Ticket};
pub use handle::{Completion, Event, Finish, FinishReason, Generation, Read, Token};
pub(crate) use options::Gauges;
pub use options::{GenerationOptions, GenerationStatus};
pub use request::{Request, Sampling, Stop};

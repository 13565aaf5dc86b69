//! The model service: loaded models and sources under one memory budget, and a worker thread per model that runs
//! everybody's forward passes.
//!
//! A caller hands a [`Pass`] to a [`Worker`] with the prompts it is about. The worker puts the prompts of all waiting
//! callers into batches of a bounded number of tokens, runs the model once for each batch, as far as the last
//! value that anyone asked for, and lets every pass read its part. Dropping the answer's future cancels: the worker looks
//! between blocks of the model, and again between prompts. Texts are generated on the same thread (`generate`); passes and steps
//! of texts take turns.

mod batching;
mod jobs;
mod loaded;
mod pass;
mod serve;
mod tap;
mod worker;

pub use loaded::{ModelKey, Service, ServiceOptions, SourceKey};
pub use pass::{Part, Parts, Pass, Wants};
pub use worker::Worker;

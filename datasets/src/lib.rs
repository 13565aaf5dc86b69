//! Data in and out of LatentDB: importers and exporters for public interpretability data, and
//! seeded synthetic data of any size.
//!
//! - [`neuronpedia`]: the public Neuronpedia export layout, read into and written from a database.
//! - [`synthetic`]: exports in that layout, made up from a seed, for tests and benchmarks.
//! - [`registry`]: the public sources and models that are known by name.
//! - [`Progress`]: how long-running work tells how far it is.

pub mod neuronpedia;
mod progress;
pub mod registry;
pub mod synthetic;

pub use progress::{Phase, Progress, Quiet};

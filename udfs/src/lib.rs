//! LatentDB's model functions: what the runtime computes, as SQL functions over the engine's tables.
//!
//! [`Models`] answers the engine's model calls. It finds out from the tables `models` and `sources` where weights
//! lie, has the runtime's service load them, and turns rows of arguments into passes and answers into rows.

mod add;
mod address;
mod arguments;
mod corpus;
mod dashboards;
mod embedder;
mod embeddings;
mod evals;
mod explanations;
mod failure;
mod functions;
pub mod generation;
mod hints;
mod hub;
mod layouts;
mod lenses;
mod library;
mod location;
mod procedures;
mod progress;
mod rows;
mod tables;
mod user_vectors;

pub use add::{AddedModel, AddedSource, add_model, add_source};
pub use corpus::{Corpus, CorpusOptions, Packing};
pub use dashboards::{GenerateOptions, Generated, Pace};
pub use embeddings::{EmbeddingEndpoint, EndpointOptions};
pub use evals::{EvalOptions, Evaluated};
pub use hints::SourceHints;
pub use hub::{Downloads, Unwatched};
pub use latentdb_runtime::DeviceName;
pub use latentdb_runtime::generate::GenerationOptions;
pub use latentdb_runtime::layout::LayoutSettings;
pub use latentdb_runtime::model::StepWeights;
pub use layouts::{LaidOut, LayoutOptions, Vectors};
pub use lenses::{AddedLens, add_lens};
pub use library::{Models, ModelsOptions};
pub use location::{HubPlace, Location};
pub use progress::{Logged, Stage, Stages};

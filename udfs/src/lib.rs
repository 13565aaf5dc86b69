//! LatentDB's model functions: what the runtime computes, as SQL functions over the engine's tables.
//!
//! [`Models`] answers the engine's model calls. It finds out from the tables `models` and `sources` where weights
//! lie, has the runtime's service load them, and turns rows of arguments into passes and answers into rows.

mod add;
mod address;
mod arguments;
mod dashboards;
mod failure;
mod functions;
mod hints;
mod hub;
mod library;
mod location;
mod rows;

pub use add::{AddedModel, AddedSource, add_model, add_source};
pub use dashboards::{Corpus, GenerateOptions, Generated, Generating, Logged, Pace, Packing, Stage};
pub use hints::SourceHints;
pub use hub::{Downloads, Unwatched};
pub use latentdb_runtime::DeviceName;
pub use library::{Models, ModelsOptions};
pub use location::{HubPlace, Location};

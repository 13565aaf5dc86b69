//! The runtime against its oracles.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod embed;
mod embed_files;
mod evals;
mod features;
mod generate;
mod lenses;
mod model_files;
mod models;
mod service;
mod source_cases;
mod source_damage;
mod source_facts;
mod source_parity;
mod source_pickle;
mod steering;
mod tokens;

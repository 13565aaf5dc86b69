//! LatentDB's front doors: the `latentdb` command line, the Postgres wire server and the HTTP API.
//!
//! All three talk to [`latentdb_engine`] through sessions and know nothing of how it stores or plans.

pub mod cli;
pub mod config;
pub mod http;
mod intake;
mod json;
pub mod pg;
pub mod telemetry;

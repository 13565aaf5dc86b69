//! Promises of the engine, tested through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cancel;
mod clients;
mod fake_model;
mod lookup;
mod models;
mod search;
mod slt;
mod storage;

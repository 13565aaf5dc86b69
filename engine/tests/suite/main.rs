//! Promises of the engine, tested through its public interface.

mod cancel;
mod clients;
mod fake_model;
mod lookup;
mod models;
mod slt;
mod storage;

//! Promises of the engine, tested through its public interface.

mod cancel;
mod clients;
mod lookup;
mod slt;
mod storage;

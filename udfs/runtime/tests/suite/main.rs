//! The runtime against its oracles.

mod source_cases;
mod source_parity;

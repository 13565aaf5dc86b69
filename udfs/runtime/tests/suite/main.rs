//! The runtime against its oracles.

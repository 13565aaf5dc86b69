//! The runtime against its oracles.

mod source_cases;
mod source_damage;
mod source_facts;
mod source_parity;
mod source_pickle;

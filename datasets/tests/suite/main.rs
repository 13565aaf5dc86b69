//! Imports and exports through a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod damage;
mod import;
mod resume;
mod round_trip;
mod support;

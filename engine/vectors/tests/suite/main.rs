//! Tests of the crate through its public face. The oracle is an exact scan in `f64`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod data;
mod edges;
mod filters;
mod recall;

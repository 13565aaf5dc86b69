//! Tests of the `latentdb` binary from the outside: its command line and its servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod fake_hub;
mod harness;
mod http;
mod hub;
mod jobs;
mod layering;
mod models;
mod pages;
mod wire;

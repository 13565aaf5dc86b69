//! Tests of the `latentdb` binary from the outside: its command line and its servers.

mod cli;
mod harness;
mod http;
mod layering;
mod models;
mod wire;

//! The `latentdb` binary; see [`latentdb_server::cli`].

use std::process::ExitCode;

/// Batches are made on one thread and freed on another, for as long as a server runs. The C library's allocator keeps what
/// each thread freed to itself, and so grows; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    latentdb_server::cli::main()
}

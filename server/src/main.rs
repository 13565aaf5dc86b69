//! The `latentdb` binary; see [`latentdb_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    latentdb_server::cli::main()
}

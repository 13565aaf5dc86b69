//! The web app is built by npm; without it, its folder is empty, and the server says so where the app would be.
//!
//! The folder is made here, because Cargo takes one that is not there for one that has changed.

use std::path::Path;

fn main() {
    let built = Path::new("../web/dist");
    if let Err(error) = std::fs::create_dir_all(built) {
        println!("cargo:warning=cannot make {}: {error}", built.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", built.display());
}

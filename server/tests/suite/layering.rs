//! Who may know whom: the arrows of `docs/architecture.md`, held against Cargo's own view of the workspace.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Each crate of ours and the crates of ours it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("latentdb-engine", &["latentdb-text", "latentdb-vectors"]),
    ("latentdb-text", &[]),
    ("latentdb-vectors", &[]),
    ("latentdb-runtime", &[]),
    ("latentdb-udfs", &["latentdb-engine", "latentdb-runtime"]),
    ("latentdb-datasets", &["latentdb-engine"]),
    ("latentdb-server", &["latentdb-engine", "latentdb-datasets", "latentdb-udfs"]),
];

/// Libraries that a crate must not use directly, because another crate stands in front of them.
const BEHIND: &[(&str, &[&str])] = &[
    ("latentdb-engine", &["pgwire", "axum", "candle-core", "reqwest", "clap", "tantivy"]),
    ("latentdb-text", &["datafusion", "arrow", "parquet", "deltalake-core", "pgwire", "axum", "candle-core"]),
    ("latentdb-vectors", &["datafusion", "arrow", "parquet", "deltalake-core", "tokio"]),
    ("latentdb-runtime", &["datafusion", "arrow", "deltalake-core", "pgwire", "axum"]),
    ("latentdb-udfs", &["datafusion", "candle-core", "deltalake-core", "pgwire", "axum", "tantivy"]),
    ("latentdb-datasets", &["datafusion", "deltalake-core", "pgwire", "rusqlite", "tantivy"]),
    (
        "latentdb-server",
        &["datafusion", "deltalake-core", "parquet", "rusqlite", "object_store", "candle-core", "tantivy"],
    ),
];

fn workspace() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata runs");
    metadata.packages
}

fn uses(package: &Package) -> BTreeSet<&str> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn crates_use_only_the_crates_below_them() {
    for package in workspace() {
        let name = package.name.as_str();
        let (_, allowed) =
            ARROWS.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("{name} has no place in ARROWS"));
        let ours: BTreeSet<&str> = uses(&package).into_iter().filter(|used| used.starts_with("latentdb-")).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(ours.is_subset(&allowed), "{name} may use {allowed:?} and uses {ours:?}");
    }
}

#[test]
fn libraries_stay_behind_the_crate_that_owns_them() {
    for package in workspace() {
        let used = uses(&package);
        let forbidden = BEHIND.iter().find(|(of, _)| *of == package.name.as_str()).map_or(&[][..], |(_, list)| list);
        let crossed: Vec<_> = forbidden.iter().filter(|name| used.contains(**name)).collect();
        assert!(crossed.is_empty(), "{} must not use {crossed:?} directly", package.name);
    }
}

#[test]
fn every_version_is_written_once_in_the_workspace() {
    for package in workspace() {
        let text = std::fs::read_to_string(&package.manifest_path).expect("the manifest is there");
        let pinned: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.contains("dependencies]"))
            .filter(|line| line.contains("version =") || line.contains("= \""))
            .filter(|line| !line.starts_with("name") && !line.starts_with("path"))
            .collect();
        assert!(pinned.is_empty(), "{} pins versions of its own: {pinned:?}", package.name);
    }
}

//! Storage: Delta tables in a directory or an object store.
//!
//! The way of a write: rows go through [`writer`] into sorted Parquet files, a [`transaction`] collects
//! the files to add and remove, and its commit goes into one table's Delta log, through [`group_commit`]
//! for small appends, or through the [`journal`] when several tables change at once. `deltalake-core`
//! writes the logs; [`durable`] sees to it that what is acknowledged is on disk.
//!
//! The way of a read: a transaction hands out [`provider`]s over its snapshot; [`scan`] leaves out files
//! by their bounds and gives the rest to DataFusion's Parquet source. A process that only reads keeps up
//! with the one that writes by [`follow`].
//!
//! What always holds: data files never change; a reader sees all of a commit or nothing of it; one
//! process writes a local database at a time.

mod blocks;
mod change;
mod check;
pub(crate) mod database;
mod delta_types;
mod durable;
mod failure;
pub(crate) mod files;
mod follow;
mod group_commit;
mod insert;
mod journal;
mod lease;
pub(crate) mod load;
mod location;
mod lock;
mod maintenance;
mod merge;
pub(crate) mod provider;
pub(crate) mod rewrite;
mod rows_by_key;
pub(crate) mod rows_by_place;
pub(crate) mod scan;
mod subset;
mod table;
pub(crate) mod transaction;
mod writer;

pub use check::{CheckReport, Damage};
pub(crate) use location::Location;

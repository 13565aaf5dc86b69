//! The public Neuronpedia export layout, read into and written from a database.
//!
//! [`import`] takes a directory or an HTTP(S) listing, of one source, a model's sources or all of them. The way of
//! the data: `find` lists a source's files, [`import`] parts them into units, a `unit` is read by one thread
//! through `lines` (gunzip), `record` (JSON to columns) and, for activations, `activations`; the rows go to
//! staged data files, `resume` notes them, `check` compares, and one commit makes all of it visible.
//!
//! [`export`] goes the other way, by the same list of keys (`fields`): import, export, import gives equal tables.

mod activations;
mod check;
mod column;
mod contexts;
mod encode;
mod export;
mod fields;
mod find;
mod import;
mod index_set;
mod layout;
mod lines;
mod location;
mod ranks;
mod record;
mod registry;
mod resume;
mod sample;
#[cfg(test)]
mod sample_tests;
mod unit;

pub use export::{ExportReport, export};
pub use import::{ImportOptions, ImportReport, SourceReport, import};
pub use layout::SourceAddress;

//! The model functions in SQL, against what interp-engine and SAELens say of the same model (`golden/make.py`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod bad_input;
mod dashboards;
mod dashboards_parity;
mod dashboards_related;
mod dashboards_runs;
mod dashboards_vectors;
mod embeddings;
mod evals;
mod generation;
mod golden;
mod planning;
mod reading;

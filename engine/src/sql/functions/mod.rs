//! SQL functions of the engine: addresses and activations, their tables, and those Postgres functions
//! that clients expect and DataFusion lacks.
//!
//! Functions with named parameters are [`FunctionDefinition`]s; the rest are plain scalar functions.
//! What depends on the session (its user, its settings) is with the catalogue, in `pg_catalog`.

mod address;
mod columns;
mod densify;
mod function;
mod principal;
mod rows;
mod sleep;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use function::Function;

use super::lateral::{FunctionDefinition, Functions};

/// Adds every function with named parameters to `functions`.
pub(crate) fn register(functions: &Functions) {
    let definitions: Vec<FunctionDefinition> =
        address::definitions().into_iter().chain(densify::definitions()).chain(rows::definitions()).collect();
    for definition in definitions {
        functions.register(definition);
    }
}

/// The functions without named parameters.
pub(crate) fn plain() -> Vec<Arc<ScalarUDF>> {
    text::functions().into_iter().chain([sleep::pg_sleep()]).map(Arc::new).collect()
}

/// The aggregates.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(principal::principal_component())]
}

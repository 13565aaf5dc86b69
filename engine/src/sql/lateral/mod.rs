//! Functions in `FROM`: named options, arguments from the tables before them, and lateral `unnest`.
//!
//! ```sql
//! SELECT f.index, t.token FROM features f, top_logits(f.top_logit_tokens, f.top_logit_values, k => 3) t
//! ```
//!
//! DataFusion plans a table function from unnamed constants only, and can plan but not run a lateral
//! `unnest`. Three steps close the gap, and no step after them knows that a function stood in `FROM`:
//!
//! 1. [`rewrite_statement`] (syntax) puts named options of known functions in their places, fills in
//!    defaults, and marks calls in `FROM` as lateral, which is what lets their arguments see the
//!    tables before them.
//! 2. [`planner`] (planning) turns a call into plain nodes over one row: project the list that the
//!    function's scalar form gives, unnest it, take its fields apart.
//! 3. [`flatten`] (after planning) replaces the join of a table with such a pipeline by the pipeline
//!    itself, run over the table: no correlation reaches the optimiser.
//!
//! A call with constant arguments is complete after step 2.

mod arguments;
mod array_subquery;
mod flatten;
mod ordinality;
mod planner;
mod registry;
mod rewrite;
#[cfg(test)]
pub(crate) mod test_session;
#[cfg(test)]
mod tests;

pub(crate) use flatten::flatten;
pub(crate) use planner::planner;
pub use registry::FunctionParameter;
pub(crate) use registry::{FunctionDefinition, Functions};
pub(crate) use rewrite::rewrite_statement;

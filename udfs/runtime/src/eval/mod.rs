//! Source evals: how well a source describes its hook point, by the "core" metrics of SAEBench.
//!
//! [`Evaluate`] is the pass over token sequences. It gives [`Sums`], which add up over any number of passes, and those give a
//! [`Report`]. All sums are in double precision, and no metric depends on how the sequences were cut into batches.
//!
//! Definitions are those of SAELens' `evals.py`, which SAEBench's `core` started from; metrics have the names of the latter.
//! Where a definition of theirs depends on batches, or fits SAEs alone, this one is meant:
//!
//! - a transcoder is compared with what lies at its output point, and its linear path takes part; so does what a temporal
//!   source predicts from context. Of an SAE, `x` is both its input and what it is compared with;
//! - `explained_variance_legacy` compares with the mean of each sequence, as theirs does with one sequence to a batch;
//! - `relative_reconstruction_bias` is a ratio of means over all tokens, and not a mean of ratios;
//! - `mse`, `l1` and `explained_variance` follow SAELens, where SAEBench's differ: squared errors add up over dimensions
//!   and are averaged over tokens, and `l1` adds up magnitudes.

mod evaluate;
mod fit;
mod loss;
mod prompts;
mod report;
mod sparsity;
mod sums;

pub use evaluate::{EvalSettings, Evaluate};
pub use report::Report;
pub use sums::Sums;

//! Search: indexes of words and of vectors, and how queries use them.
//!
//! The libraries `latentdb-text` and `latentdb-vectors` know segments: files that hold the words, or the vectors, of some rows.
//! Here they meet tables. An [`index::Index`] has segments that cover data files, which never change; what is not covered yet is
//! read, so results are never stale, and building goes on behind ([`upkeep`], [`build`]). The rule [`rule::AskIndexes`] tells a
//! scan what is wanted of its rows; the scan becomes an [`exec::IndexScanExec`], which asks when it runs ([`find`]). Filters,
//! sorts and limits stay above it: with an index or without, the rows are the same. A search that is prepared and asks for
//! nothing else needs no plan at all ([`direct`]; [`crate::lookup`] tells which ones those are).
//!
//! `text_match`, `snippet` and the distances are plain functions ([`text_functions`], [`distances`]), and say what a search
//! means; `bm25` needs to know the table ([`bm25`]).

pub(crate) mod bm25;
mod build;
pub(crate) mod constants;
mod coverage;
pub(crate) mod definition;
mod direct;
pub(crate) mod distances;
mod exec;
mod failure;
mod find;
mod fresh;
mod index;
mod indexes;
mod nearest;
mod question;
mod read;
mod rows;
mod rule;
mod scanned;
mod segment;
mod settings;
pub(crate) mod text_functions;
mod threads;
pub(crate) mod upkeep;
mod values;
mod words;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::physical_plan::ExecutionPlan;

pub(crate) use self::direct::Searched;
pub(crate) use self::distances::parse_vector;
use self::exec::IndexScanExec;
use self::find::{Asked, What};
pub(crate) use self::index::{Build, Index};
pub(crate) use self::indexes::Indexes;
pub(crate) use self::rows::RowsOfFiles;
pub(crate) use self::rule::AskIndexes;
pub(crate) use self::scanned::ScannedRows;
pub(crate) use self::settings::SearchSettings;
use crate::storage::scan::ScanTarget;

/// The functions of searches.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let words = text_functions::functions().into_iter().chain([bm25::function()]).map(Arc::new);
    words.chain(distances::functions().iter().cloned()).collect()
}

/// `filters` without what is asked beyond them.
pub(crate) fn without_questions(filters: &[Expr]) -> (Vec<Arc<question::Question>>, Vec<Expr>) {
    question::Question::among(filters)
}

/// The scan of `target` by an index, if one serves what `filters` ask of `table`.
pub(crate) fn plan(
    target: &ScanTarget,
    table: &str,
    state: &SessionState,
    projection: Option<&[usize]>,
    filters: &[Expr],
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(indexes) = state.config().get_extension::<Indexes>() else { return Ok(None) };
    let settings = SearchSettings::of(state);
    let Some((what, filters)) = What::of(&indexes, table, filters, &settings)? else { return Ok(None) };
    let asked = Asked { indexes, what, settings };
    let exec = IndexScanExec::new(target.clone(), Arc::new(state.clone()), projection, filters, asked)?;
    Ok(Some(Arc::new(exec)))
}

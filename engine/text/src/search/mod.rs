//! Searching segments: the rows that a query matches, and the best of them by BM25.
//!
//! A score depends on the row's text and on all live rows together, and on nothing else: neither on how rows are cut into
//! segments nor on dead rows, which are rows of a segment that are no rows of the table any more. Scores are Okapi BM25 with
//! k1 = 1.2 and b = 0.75, added up over the clauses that match and are not negated, in the order of the query. A word weighs by
//! how many live rows have it, a phrase by the sum of its words' weights. A prefix or a fuzzy word, and a phrase that ends in a
//! prefix, count 1 wherever they match.
//!
//! The length of a row is kept in a byte: exact up to 40 words, and rounded down by at most 1/8 beyond.

mod cursor;
mod excluded;
mod live;
mod phrase_prefix;
mod plan;
mod searcher;
mod statistics;
mod top;

use roaring::RoaringBitmap;
use tantivy::Term;
use tantivy::query::EnableScoring;

pub use searcher::{Hit, Searcher};

use crate::error::{Error, Result};
use crate::query::{Pattern, Query};
use crate::segment::Segment;

/// The rows of `segment` that `query` matches, dead ones included: exactly those whose text [`Query::matches`].
///
/// # Errors
///
/// `InvalidInput` where query and segment are of different analyses.
pub fn matching(segment: &Segment, query: &Query) -> Result<RoaringBitmap> {
    same_analysis(segment, query)?;
    let mut rows = RoaringBitmap::new();
    let (Some(root), Some(reader)) = (query.root(), segment.reader()) else { return Ok(rows) };
    let plan = plan::node(query, root, segment.field());
    let weight = plan.weight(EnableScoring::disabled_from_schema(segment.searcher().schema()))?;
    weight.for_each_no_score(reader, &mut |found| {
        // Rows come in order, so that this cannot fail; were it otherwise, they are put in one by one.
        if rows.append(found.iter().copied()).is_err() {
            rows.extend(found);
        }
    })?;
    // To the index a NULL is a row without words, which a negation matches.
    Ok(rows - segment.nulls())
}

/// How many rows of `segment` have one of the query's words, those that have several counted for each: what a search reads at
/// most. `None` where it has to be searched for words first, those that start so or are written nearly so.
///
/// # Errors
///
/// `Io` and `Damaged`, where the segment's list of words cannot be read.
pub fn entries(segment: &Segment, query: &Query) -> Result<Option<u64>> {
    let mut entries = 0;
    for pattern in query.patterns() {
        let Pattern::Exact(word) = pattern else { return Ok(None) };
        entries += segment.searcher().doc_freq(&Term::from_field_text(segment.field(), word))?;
    }
    Ok(Some(entries))
}

fn same_analysis(segment: &Segment, query: &Query) -> Result<()> {
    let (made, asked) = (segment.analysis(), query.analysis());
    if made == asked {
        return Ok(());
    }
    Err(Error::invalid(format!("the query is for words made by {asked:?}, and the segment's were made by {made:?}")))
}

//! The nearest vectors of a table: from the segments of an index, and by reading what they do not cover.

use std::sync::Arc;

use datafusion::execution::SessionState;
use futures::TryStreamExt;
use latentdb_vectors::{Metric, SearchOptions, distance};

use super::coverage::Coverage;
use super::failure::from_vectors;
use super::index::Index;
use super::read::{located, places};
use super::rows::{Places, RowsOfFiles, to_filter};
use super::segment::{Content, Segment};
use super::threads;
use super::values::Vectors;
use crate::Result;
use crate::storage::scan::ScanTarget;

/// Candidates beyond those that were asked for: the sort above ranks by exact distances, which may order near equals otherwise.
const SPARE: usize = 16;

/// Searches that read so much take less than half a millisecond, and so less than two or three threads take to wake one another.
const BRIEF: usize = 4 << 20;

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Nearest {
    pub(super) column: String,
    pub(super) vector: Arc<Vec<f32>>,
    pub(super) metric: Metric,
    pub(super) k: usize,
    /// Width of the walk through the graph; none for the segment's own.
    pub(super) ef: Option<usize>,
}

/// A row with its distance.
pub(super) type Found = (f32, usize, u32);

/// Rows among which the `k` nearest are, as far as the index finds them. `None` if there are fewer than `k` vectors: what comes
/// after them has none, and has to be read.
pub(super) async fn nearest(
    index: &Index,
    target: &ScanTarget,
    state: &SessionState,
    wanted: &Nearest,
    allowed: Option<RowsOfFiles>,
) -> Result<Option<RowsOfFiles>> {
    Ok(best(&found(index, target, state, wanted, allowed).await?, wanted.k))
}

/// The nearest rows that an index and what it does not cover have, the nearest first; more than `k` where there are more.
pub(super) async fn found(
    index: &Index,
    target: &ScanTarget,
    state: &SessionState,
    wanted: &Nearest,
    allowed: Option<RowsOfFiles>,
) -> Result<Vec<Found>> {
    let coverage = Coverage::of(Some(index), target);
    let rest = coverage.rest(target);
    let Coverage { parts, left } = coverage;
    let expected = parts
        .iter()
        .map(|(segment, _)| segment.expected_bytes(wanted.k.saturating_add(SPARE), wanted.ef))
        .fold(0, usize::saturating_add);
    let is_brief = allowed.is_none() && expected <= BRIEF;
    let search = || -> Result<_> {
        let mut found = Vec::new();
        for (segment, places) in &parts {
            search_one(segment, places, wanted, allowed.as_ref(), &mut found)?;
        }
        Ok(found)
    };
    let mut found = threads::search(is_brief, search).await?;
    scan(&rest, &left, state, wanted, allowed.as_ref(), &mut found).await?;
    found.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then((one.1, one.2).cmp(&(other.1, other.2))));
    Ok(found)
}

/// Searches one segment.
fn search_one(
    segment: &Segment,
    places: &Places,
    wanted: &Nearest,
    allowed: Option<&RowsOfFiles>,
    found: &mut Vec<Found>,
) -> Result<()> {
    let Content::Vectors(vectors) = &segment.content else { return Ok(()) };
    // Those of another model; a column may hold them, and nothing compares them with this one.
    if vectors.is_empty() || vectors.dim() != wanted.vector.len() {
        return Ok(());
    }
    let filter = places.live(allowed).map(|live| to_filter(&live));
    let options = SearchOptions { ef: wanted.ef, filter: filter.as_ref() };
    let hits = vectors.search(&wanted.vector, wanted.k.saturating_add(SPARE), &options).map_err(from_vectors)?;
    found.extend(hits.into_iter().filter_map(|hit| {
        let (file, row) = places.of(hit.row)?;
        Some((hit.distance, file, row))
    }));
    Ok(())
}

/// Reads the files `files`, whose places in the whole are `left`.
async fn scan(
    files: &ScanTarget,
    left: &[usize],
    state: &SessionState,
    wanted: &Nearest,
    allowed: Option<&RowsOfFiles>,
    found: &mut Vec<Found>,
) -> Result<()> {
    if files.files.is_empty() {
        return Ok(());
    }
    let mut batches = located(files, state, Some(&wanted.column), &[])?;
    while let Some(batch) = batches.try_next().await? {
        let Some(column) = batch.column_by_name(&wanted.column) else { continue };
        let vectors = Vectors::new(column)?;
        for (number, (file, row)) in places(&batch)?.enumerate() {
            let Some(file) = left.get(file).copied() else { continue };
            if allowed.is_some_and(|allowed| !allowed.get(&file).is_some_and(|rows| rows.contains(row))) {
                continue;
            }
            let Some(vector) = vectors.get(number) else { continue };
            let apart = distance(wanted.metric, &wanted.vector, vector).map_err(from_vectors);
            match apart {
                Ok(apart) => found.push((apart, file, row)),
                // A vector that has no distance comes after all that have one.
                Err(error) => tracing::debug!(%error, "a vector without a distance"),
            }
        }
        shrink(found, wanted.k);
    }
    Ok(())
}

fn shrink(found: &mut Vec<Found>, k: usize) {
    let most = k.saturating_add(SPARE);
    if found.len() > most.saturating_mul(4) {
        found.select_nth_unstable_by(most, |one, other| one.0.total_cmp(&other.0));
        found.truncate(most);
    }
}

fn best(found: &[Found], k: usize) -> Option<RowsOfFiles> {
    if found.len() < k {
        return None;
    }
    let mut rows = RowsOfFiles::new();
    for (_, file, row) in found.iter().take(k.saturating_add(SPARE)) {
        rows.entry(*file).or_default().insert(*row);
    }
    Some(rows)
}

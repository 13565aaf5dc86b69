//! Searching a segment.
//!
//! A search finds candidates by coarse distances and orders the best of them by fine ones. Candidates come from one of three
//! ways, whichever is expected to take least time:
//!
//! - *scan*: all codes, or those of the rows that the filter lets through. The only way where there is no graph, and the best
//!   for a filter that lets few rows through.
//! - *walk*: the graph, filter or not; rows that the filter rejects are dropped at the end, and the pool is larger for it.
//!   For a filter that lets many through.
//! - *wide walk*: the graph, stepping through rejected nodes. In between. It gives up when it saw too much, and scans.

mod candidates;
pub(crate) mod scan;

use crate::encoder::Encoded;
use crate::filter::RowFilter;
use crate::format::Contents;
use crate::walk::{Candidate, Scratch};

/// How many neighbours the default width of walks was found for.
pub(crate) const TOP: usize = 10;

/// How to search.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions<'a> {
    /// Candidates that a walk keeps: more find more and take longer. Default: what found 97.5 % of the ten nearest when the
    /// segment was built, and as much more as `k` exceeds ten.
    pub ef: Option<usize>,
    /// The rows that may be answered. Default: all.
    pub filter: Option<&'a RowFilter>,
}

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// As given when the segment was built.
    pub row: u32,
    /// From codes of 16 bits a component: within about 10⁻⁵ of the vector's length.
    pub distance: f32,
}

/// What a way takes, in codes read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Cost(f64);

impl Cost {
    /// What a step of a walk takes: about 16 new nodes, each at a random place, and their order. Measured on an x86 server
    /// with 384 components: 75 for 30,000 vectors, whose codes fit the last cache, and 37 to 59 for 100,000.
    const STEP: f64 = 40.0;

    /// Reading the codes of `nodes` nodes.
    pub(crate) fn scan(nodes: usize) -> Self {
        Self(nodes as f64)
    }

    /// A walk of width `ef`, which takes about as many steps.
    pub(crate) fn walk(ef: usize) -> Self {
        Self(ef as f64 * Self::STEP)
    }
}

/// Bytes of codes read one after the other in the time that a search without a filter takes, about.
pub(crate) fn expected_bytes(contents: &Contents<'_>, k: usize, ef: Option<usize>) -> usize {
    let Cost(codes) = candidates::expected(contents, k.min(contents.rows.len()), ef);
    (codes * contents.centre.len() as f64) as usize
}

/// The `k` nearest of the allowed rows that the chosen way finds.
pub(crate) fn search(
    contents: &Contents<'_>,
    query: &Encoded,
    k: usize,
    options: &SearchOptions<'_>,
    scratch: &mut Scratch,
) -> Vec<Hit> {
    let k = k.min(contents.rows.len());
    if k == 0 {
        return Vec::new();
    }
    let candidates = candidates::candidates(contents, query, k, options, scratch);
    ranked(contents, query, candidates.into_iter().map(|candidate| candidate.node), k)
}

/// The `k` nearest of the allowed rows.
pub(crate) fn exact(contents: &Contents<'_>, query: &Encoded, k: usize, filter: Option<&RowFilter>) -> Vec<Hit> {
    let allowed = |node: &u32| filter.is_none_or(|filter| filter.contains(contents.rows[*node as usize]));
    let nodes = (0..contents.rows.len() as u32).filter(allowed);
    ranked(contents, query, nodes, k.min(contents.rows.len()))
}

/// The `k` nearest of `nodes` by fine distances; the lower row first among equals.
fn ranked(contents: &Contents<'_>, query: &Encoded, nodes: impl Iterator<Item = u32>, k: usize) -> Vec<Hit> {
    let nearest = |node| Candidate::new(node, contents.codes.fine(query, node));
    let mut measured: Vec<Candidate> = nodes.map(nearest).collect();
    if k > 0 && k < measured.len() {
        measured.select_nth_unstable_by(k - 1, Candidate::order);
    }
    measured.truncate(k);
    // Nodes are in the order of their rows.
    measured.sort_unstable_by(Candidate::order);
    let hit = |candidate: Candidate| Hit { row: contents.rows[candidate.node as usize], distance: candidate.distance };
    measured.into_iter().map(hit).collect()
}

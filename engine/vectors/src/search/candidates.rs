//! Which way a search goes, and what it finds.

use super::scan::{allowed_nodes, scan};
use super::{Cost, SearchOptions, TOP};
use crate::encoder::Encoded;
use crate::filter::RowFilter;
use crate::format::Contents;
use crate::graph::Graph;
use crate::walk::{Candidate, Scratch, Walk, WideWalk};

/// Nodes that a step of a wide walk measures at most: as many as a node has links.
const BREADTH: usize = 32;

/// What one search is about.
struct Search<'a> {
    contents: &'a Contents<'a>,
    walk: Walk<'a>,
    k: usize,
    ef: usize,
}

/// A little more than the `k` nearest by coarse distances, so that the `k` nearest by fine ones are among them.
pub(super) fn candidates(
    contents: &Contents<'_>,
    query: &Encoded,
    k: usize,
    options: &SearchOptions<'_>,
    scratch: &mut Scratch,
) -> Vec<Candidate> {
    let ef = width(contents, k, options.ef);
    let search = Search { contents, walk: Walk { codes: contents.codes, probe: query.probe() }, k, ef };
    let graph = contents.graph.as_ref().filter(|_| pays(contents, ef));
    match (graph, options.filter) {
        (None, None) => search.scan_all(scratch),
        (None, Some(filter)) => search.scan(filter, scratch),
        (Some(graph), None) => search.walk(graph, scratch),
        (Some(graph), Some(filter)) => search.filtered(graph, filter, scratch),
    }
}

/// How many codes a search without a filter reads, about; at random places they count for more.
pub(super) fn expected(contents: &Contents<'_>, k: usize, ef: Option<usize>) -> Cost {
    let ef = width(contents, k, ef);
    match contents.graph.is_some() && pays(contents, ef) {
        true => Cost::walk(ef),
        false => Cost::scan(contents.rows.len()),
    }
}

/// Candidates that a walk for the `k` nearest keeps.
fn width(contents: &Contents<'_>, k: usize, ef: Option<usize>) -> usize {
    let default = contents.ef as usize + k.saturating_sub(TOP);
    ef.unwrap_or(default).max(k)
}

/// Whether a walk takes less than to read all codes.
fn pays(contents: &Contents<'_>, ef: usize) -> bool {
    Cost::walk(ef) < Cost::scan(contents.rows.len())
}

/// How many candidates are measured finely.
fn depth(k: usize) -> usize {
    2 * k + 16
}

impl Search<'_> {
    fn scan_all(&self, scratch: &mut Scratch) -> Vec<Candidate> {
        let all: Vec<u32> = (0..self.contents.rows.len() as u32).collect();
        scan(&self.walk.codes, self.walk.probe, &all, depth(self.k), scratch).to_vec()
    }

    fn scan(&self, filter: &RowFilter, scratch: &mut Scratch) -> Vec<Candidate> {
        let nodes = allowed_nodes(self.contents.rows, filter);
        scan(&self.walk.codes, self.walk.probe, &nodes, depth(self.k), scratch).to_vec()
    }

    fn walk(&self, graph: &Graph<'_>, scratch: &mut Scratch) -> Vec<Candidate> {
        let start = self.walk.descend(graph, 0, scratch);
        self.walk.beam(&graph.layers[0], start, self.ef, scratch);
        scratch.pool.candidates().iter().take(depth(self.k)).copied().collect()
    }

    fn filtered(&self, graph: &Graph<'_>, filter: &RowFilter, scratch: &mut Scratch) -> Vec<Candidate> {
        let (count, allowed) = (self.contents.rows.len(), filter.len().min(self.contents.rows.len()));
        let many = allowed * 2 >= count;
        let width = if many { self.ef * count / allowed.max(1) } else { self.ef };
        // A wide walk tests about two nodes for each that it measures.
        let cost = if many { Cost::walk(width) } else { Cost::walk(2 * width) };
        if cost >= Cost::scan(allowed) {
            return self.scan(filter, scratch);
        }
        let start = self.walk.descend(graph, 0, scratch);
        let lets_through = |node: u32| filter.contains(self.contents.rows[node as usize]);
        if many {
            self.walk.beam(&graph.layers[0], start, width, scratch);
        } else {
            let wide = WideWalk { ef: width, breadth: BREADTH, most_seen: 4 * allowed };
            if self.walk.wide_beam(&graph.layers[0], start, wide, lets_through, scratch).is_none() {
                return self.scan(filter, scratch);
            }
        }
        let found = scratch.pool.candidates().iter().filter(|candidate| lets_through(candidate.node));
        let found: Vec<Candidate> = found.take(depth(self.k)).copied().collect();
        // A part of the graph that the filter cuts off, or a filter full of rows without vectors.
        if found.len() < self.k.min(allowed) { self.scan(filter, scratch) } else { found }
    }
}

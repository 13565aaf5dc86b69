//! How wide a walk must be in this segment.
//!
//! What finds nine of ten neighbours in one set of vectors finds half of them in another, and in vectors that point anywhere
//! no graph helps. So some nodes are kept back until the others are linked, and are looked for with walks of growing width.
//! The narrowest that finds enough becomes the segment's default; where reading all codes is cheaper, the graph is dropped.
//! That it will be shows early: where a part of the nodes is read sooner than walked through, all of them will be, too, or
//! nearly so. (On 100,000 random directions the width that finds enough grows almost as their number does.)

use rayon::prelude::*;

use crate::codes::Codes;
use crate::graph::Graph;
use crate::search::scan::scan;
use crate::search::{Cost, TOP};
use crate::walk::{Candidate, Scratch, Scratches, Walk};

/// Nodes kept back, at most, and of how many one is.
const MOST_QUERIES: usize = 200;
const ONE_OF: usize = 50;
/// The part of the ten nearest that walks of the default width find, on average. What callers are promised is 0.95: this is
/// more, because queries are few here, and other vectors than those of the segment will be looked for.
const RECALL: f64 = 0.975;
/// Widths that are tried.
const WIDTHS: &[usize] = &[16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

/// A walk may take so many times what reading takes when a part of the nodes is linked: the more nodes, the better for walks.
const GRACE: usize = 2;

/// How many nodes to keep back.
pub(super) fn queries(count: usize) -> usize {
    (count / ONE_OF).min(MOST_QUERIES)
}

/// Nodes that are not in the graph, looked for in it.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    codes: Codes<'a>,
    graph: Graph<'a>,
    queries: &'a [u32],
    linked: usize,
    /// The nearest nodes of each query.
    truths: Vec<Vec<u32>>,
    scratches: Scratches,
}

impl<'a> Trial<'a> {
    /// A trial of the graph of the nodes `linked`.
    pub(super) fn new(codes: Codes<'a>, graph: Graph<'a>, linked: &[u32], queries: &'a [u32]) -> Self {
        let mut linked = linked.to_vec();
        // In the order of memory.
        linked.sort_unstable();
        let scratches = Scratches::default();
        let nearest = |scratch: &mut Scratch, query| nodes(scan(&codes, codes.probe(query), &linked, TOP, scratch));
        let truth = |&query: &u32| scratches.lend(|scratch| nearest(scratch, query));
        let truths = queries.par_iter().map(truth).collect();
        Self { codes, graph, queries, linked: linked.len(), truths, scratches }
    }

    /// Whether a graph of all nodes may pay, from a graph of a part of them.
    pub(super) fn is_promising(&self) -> bool {
        widths(GRACE * self.linked).last().is_some_and(|ef| self.recall(ef) >= RECALL)
    }

    /// The least width that finds enough, and the part that it finds. `None` if reading all codes takes less time.
    pub(super) fn width(&self) -> Option<(u32, f32)> {
        let mut tried = widths(self.codes.len()).map(|ef| (ef, self.recall(ef)));
        tried.find(|(_, recall)| *recall >= RECALL).map(|(ef, recall)| (ef as u32, recall as f32))
    }

    fn recall(&self, ef: usize) -> f64 {
        let found =
            |(&query, truth): (&u32, &Vec<u32>)| self.scratches.lend(|scratch| self.found(query, truth, ef, scratch));
        let found: usize = self.queries.par_iter().zip(&self.truths).map(found).sum();
        found as f64 / self.truths.iter().map(Vec::len).sum::<usize>().max(1) as f64
    }

    fn found(&self, query: u32, truth: &[u32], ef: usize, scratch: &mut Scratch) -> usize {
        let walk = Walk { codes: self.codes, probe: self.codes.probe(query) };
        let start = walk.descend(&self.graph, 0, scratch);
        walk.beam(&self.graph.layers[0], start, ef, scratch);
        let found = scratch.pool.candidates().iter().take(TOP);
        found.filter(|candidate| truth.contains(&candidate.node)).count()
    }
}

/// Widths worth a trial: those of walks that take less time than reading the codes of so many nodes.
fn widths(nodes: usize) -> impl Iterator<Item = usize> {
    WIDTHS.iter().copied().take_while(move |&ef| Cost::walk(ef) < Cost::scan(nodes))
}

fn nodes(candidates: &[Candidate]) -> Vec<u32> {
    candidates.iter().map(|candidate| candidate.node).collect()
}

//! How wide a walk must be in this segment.
//!
//! What finds nine of ten neighbours in one set of vectors finds half of them in another, and in vectors that point anywhere
//! no graph helps. So some nodes are kept back until the others are linked, and are looked for with walks of growing width.
//! The narrowest that finds enough becomes the segment's default; where reading all codes is cheaper, the graph is dropped.

use rayon::prelude::*;

use crate::codes::Codes;
use crate::graph::Graph;
use crate::search::scan::scan;
use crate::search::{Cost, TOP};
use crate::walk::{Scratches, Walk};

/// Nodes kept back, at most, and of how many one is.
const MOST_QUERIES: usize = 200;
const ONE_OF: usize = 50;
/// The part of the ten nearest that walks of the default width find, on average. What callers are promised is 0.95: this is
/// more, because queries are few here, and other vectors than those of the segment will be looked for.
const RECALL: f64 = 0.975;
/// Widths that are tried.
const WIDTHS: &[usize] = &[16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

/// How many nodes to keep back.
pub(super) fn queries(count: usize) -> usize {
    (count / ONE_OF).min(MOST_QUERIES)
}

/// The width for this graph and its recall, found by looking for `queries`, which are not in the graph. `None` if reading
/// all codes takes less time.
pub(super) fn calibrate(codes: &Codes<'_>, graph: &Graph<'_>, queries: &[u32]) -> Option<(u32, f32)> {
    let scratches = Scratches::default();
    let others = |node: &u32| !queries.contains(node);
    let among: Vec<u32> = (0..codes.len() as u32).filter(others).collect();
    let truth = |&query: &u32| scratches.lend(|scratch| nodes(scan(codes, codes.probe(query), &among, TOP, scratch)));
    let truths: Vec<Vec<u32>> = queries.par_iter().map(truth).collect();
    let recall = |ef: usize| {
        let found = queries.par_iter().zip(&truths).map(|(&query, truth)| {
            scratches.lend(|scratch| {
                let walk = Walk { codes: *codes, probe: codes.probe(query) };
                let start = walk.descend(graph, 0, scratch);
                walk.beam(&graph.layers[0], start, ef, scratch);
                let found = scratch.pool.candidates().iter().take(TOP);
                found.filter(|candidate| truth.contains(&candidate.node)).count()
            })
        });
        found.sum::<usize>() as f64 / truths.iter().map(Vec::len).sum::<usize>().max(1) as f64
    };
    for &ef in WIDTHS.iter().take_while(|&&ef| Cost::walk(ef) < Cost::scan(codes.len())) {
        let reached = recall(ef);
        if reached >= RECALL {
            return Some((ef as u32, reached as f32));
        }
    }
    None
}

fn nodes(candidates: &[crate::walk::Candidate]) -> Vec<u32> {
    candidates.iter().map(|candidate| candidate.node).collect()
}

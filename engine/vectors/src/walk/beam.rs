//! The walks.

use super::pool::Candidate;
use super::scratch::Scratch;
use crate::codes::{Codes, Probe};
use crate::graph::{Graph, Layer};

/// A walk towards one probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    pub(crate) codes: Codes<'a>,
    pub(crate) probe: Probe<'a>,
}

/// Bounds of a walk that looks through nodes it may not answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WideWalk {
    /// Candidates kept.
    pub(crate) ef: usize,
    /// Nodes that one step measures at most.
    pub(crate) breadth: usize,
    /// Nodes that the walk looks at before it gives up.
    pub(crate) most_seen: usize,
}

impl<'a> Walk<'a> {
    /// The node of `layer` that greedy descent reaches: from each layer above, on to nearer links until there is none.
    pub(crate) fn descend(&self, graph: &Graph<'_>, layer: usize, scratch: &mut Scratch) -> u32 {
        let Scratch { dots, distances, .. } = scratch;
        self.codes.coarse(self.probe, &[graph.entry], dots, distances);
        let mut nearest = Candidate::new(graph.entry, distances[0]);
        for layer in graph.layers.iter().skip(layer + 1).rev() {
            loop {
                let links = layer.links(nearest.node);
                links.iter().for_each(|&link| self.codes.fetch(link));
                self.codes.coarse(self.probe, links, dots, distances);
                let measured = links.iter().zip(&*distances).map(|(&node, &distance)| Candidate::new(node, distance));
                match measured.min_by(Candidate::order) {
                    Some(nearer) if nearer.distance < nearest.distance => nearest = nearer,
                    _ => break,
                }
            }
        }
        nearest.node
    }

    /// Fills the scratch's pool with the `ef` nearest nodes of `layer` that a best-first walk from `start` finds.
    pub(crate) fn beam(&self, layer: &Layer<'_>, start: u32, ef: usize, scratch: &mut Scratch) {
        self.begin(start, ef, scratch);
        while let Some(node) = scratch.pool.follow() {
            scratch.nodes.clear();
            for &link in layer.links(node) {
                if scratch.visited.insert(link) {
                    self.codes.fetch(link);
                    scratch.nodes.push(link);
                }
            }
            self.measure(layer, scratch);
        }
    }

    /// As [`Walk::beam`] in layer 0, for the nodes that `allowed` lets through: others do not enter the pool, but the walk
    /// steps through them to their links (ACORN-1, Patel et al. 2024). Only `start` enters in any case. `None` if the walk
    /// saw more than it may.
    pub(crate) fn wide_beam(
        &self,
        layer: &Layer<'_>,
        start: u32,
        wide: WideWalk,
        allowed: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Option<()> {
        self.begin(start, wide.ef, scratch);
        let mut seen = 0;
        while let Some(node) = scratch.pool.follow() {
            scratch.nodes.clear();
            let Scratch { visited, nodes, .. } = &mut *scratch;
            let mut look = |node: u32| {
                let new = visited.insert(node);
                seen += usize::from(new);
                new && allowed(node)
            };
            let links = layer.links(node);
            links.iter().for_each(|&link| layer.fetch(link));
            nodes.extend(links.iter().copied().filter(|&link| look(link)));
            for &link in links.iter().filter(|&&link| !allowed(link)) {
                if nodes.len() >= wide.breadth {
                    break;
                }
                nodes.extend(layer.links(link).iter().copied().filter(|&link| look(link)));
            }
            nodes.iter().for_each(|&node| self.codes.fetch(node));
            self.measure(layer, scratch);
            if seen > wide.most_seen {
                return None;
            }
        }
        Some(())
    }

    fn begin(&self, start: u32, ef: usize, scratch: &mut Scratch) {
        scratch.visited.reset(self.codes.len());
        scratch.visited.insert(start);
        scratch.pool.reset(ef);
        self.codes.coarse(self.probe, &[start], &mut scratch.dots, &mut scratch.distances);
        scratch.pool.offer(start, scratch.distances[0]);
    }

    /// Offers the scratch's nodes to its pool.
    #[inline]
    fn measure(&self, layer: &Layer<'_>, scratch: &mut Scratch) {
        // Most often the next step is to the candidate that is next now.
        if let Some(next) = scratch.pool.ahead().filter(|_| layer.nodes.is_none()) {
            layer.fetch(next);
        }
        self.codes.coarse(self.probe, &scratch.nodes, &mut scratch.dots, &mut scratch.distances);
        for (&node, &distance) in scratch.nodes.iter().zip(&scratch.distances) {
            scratch.pool.offer(node, distance);
        }
    }
}

//! The construction of the graph.
//!
//! Nodes are inserted in batches. Every node of a batch looks for its neighbours in the graph as it was before the batch;
//! then all links are made. So threads share nothing that changes, there is no lock, and the graph is the same for any
//! number of threads. (ParlayANN, Manohar et al. 2024, builds so.) A batch is a small part of what is there already: few
//! of a node's neighbours are in the same batch, and those meet it through their links to others.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::calibrate::Trial;
use super::order::Order;
use super::select::select;
use super::{BuildOptions, Progress};
use crate::codes::{Codes, Dots};
use crate::error::{Error, Result};
use crate::graph::{Graph, Layer, NONE};
use crate::walk::{Candidate, Scratches, Walk};

/// A batch is this part of the nodes before it, and never more than `MOST` nodes, so that progress is told.
const PART: usize = 50;
const MOST: usize = 2_000;

/// A layer while it grows.
#[derive(Debug)]
struct Growing {
    nodes: Option<Vec<u32>>,
    width: usize,
    slots: Vec<u32>,
}

impl Growing {
    fn new(nodes: Option<Vec<u32>>, count: usize, width: usize) -> Self {
        Self { nodes, width, slots: vec![NONE; count * width] }
    }

    fn layer(&self) -> Layer<'_> {
        Layer { nodes: self.nodes.as_deref(), width: self.width, slots: &self.slots }
    }

    /// Replaces a node's links.
    fn link(&mut self, node: u32, links: &[u32]) {
        let Some(at) = self.layer().position(node) else { return };
        let slots = &mut self.slots[at * self.width..(at + 1) * self.width];
        slots.fill(NONE);
        slots.iter_mut().zip(links).for_each(|(slot, &link)| *slot = link);
    }
}

/// The graph while it grows.
#[derive(Debug)]
pub(super) struct GraphBuilder<'a> {
    codes: Codes<'a>,
    options: BuildOptions,
    order: Order,
    inserted: usize,
    layers: Vec<Growing>,
    scratches: Scratches,
}

/// A node and its links in one layer.
type Links = (u32, Vec<u32>);

impl<'a> GraphBuilder<'a> {
    pub(super) fn new(codes: Codes<'a>, options: BuildOptions) -> Self {
        let order = Order::new(codes.len(), options.links);
        let upper = order.upper.iter().map(|nodes| Growing::new(Some(nodes.clone()), nodes.len(), options.links));
        let layers = std::iter::once(Growing::new(None, codes.len(), 2 * options.links)).chain(upper).collect();
        Self { codes, options, order, inserted: 0, layers, scratches: Scratches::default() }
    }

    /// The graph of the nodes inserted so far.
    pub(super) fn graph(&self) -> Graph<'_> {
        let entry = self.order.nodes.first().copied().unwrap_or(0);
        Graph { layers: self.layers.iter().map(Growing::layer).collect(), entry }
    }

    /// Looks for the last `queries` nodes, none of which may be inserted yet, in the graph so far.
    pub(super) fn trial(&self, queries: usize) -> Trial<'_> {
        let nodes = &self.order.nodes;
        let queries = &nodes[nodes.len().saturating_sub(queries)..];
        Trial::new(self.codes, self.graph(), &nodes[..self.inserted], queries)
    }

    /// Inserts nodes until only `rest` are left. `progress` is told after every batch, and may end it.
    pub(super) fn insert_until(
        &mut self,
        rest: usize,
        progress: &mut impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        let total = self.order.nodes.len();
        let end = total.saturating_sub(rest);
        while self.inserted < end {
            let size = (self.inserted / PART).clamp(1, MOST).min(end - self.inserted);
            self.insert(self.inserted..self.inserted + size);
            self.inserted += size;
            if progress(Progress { done: self.inserted, total }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    fn insert(&mut self, batch: std::ops::Range<usize>) {
        let found: Vec<Vec<Vec<u32>>> = {
            let graph = self.graph();
            self.order.nodes[batch.clone()].par_iter().map(|&node| self.neighbours(&graph, node)).collect()
        };
        for layer in 0..self.layers.len() {
            let nodes = self.order.nodes[batch.clone()].iter().copied();
            let links: Vec<Links> =
                nodes.zip(&found).filter_map(|(node, found)| Some((node, found.get(layer)?.clone()))).collect();
            let back = self.links_back(layer, &links);
            for (node, links) in links.iter().chain(&back) {
                self.layers[layer].link(*node, links);
            }
        }
    }

    /// The links that a new node gets, for each of its layers from 0 up.
    fn neighbours(&self, graph: &Graph<'_>, node: u32) -> Vec<Vec<u32>> {
        if self.inserted == 0 {
            return Vec::new();
        }
        let walk = Walk { codes: self.codes, probe: self.codes.probe(node) };
        let level = self.order.level(node);
        self.scratches.lend(|scratch| {
            let mut start = walk.descend(graph, level, scratch);
            let mut found = vec![Vec::new(); level + 1];
            for layer in (0..=level).rev() {
                walk.beam(&graph.layers[layer], start, self.options.effort, scratch);
                let candidates = scratch.pool.candidates();
                start = candidates.first().map_or(start, |nearest| nearest.node);
                select(&self.codes, candidates, self.options.links, &mut found[layer]);
            }
            found
        })
    }

    /// What the neighbours of new nodes are linked to from now on: the new nodes, too, or the best of all.
    fn links_back(&self, layer: usize, links: &[Links]) -> Vec<Links> {
        let mut pairs: Vec<(u32, u32)> =
            links.iter().flat_map(|(node, links)| links.iter().map(|&link| (link, *node))).collect();
        pairs.par_sort_unstable();
        let groups: Vec<&[(u32, u32)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
        let layer = self.layers[layer].layer();
        groups.par_iter().map(|group| (group[0].0, self.joined(&layer, group))).collect()
    }

    fn joined(&self, layer: &Layer<'_>, group: &[(u32, u32)]) -> Vec<u32> {
        let node = group[0].0;
        let mut links = layer.links(node).to_vec();
        links.extend(group.iter().map(|pair| pair.1));
        if links.len() > layer.width {
            let (mut dots, mut distances) = (Dots::default(), Vec::new());
            self.codes.coarse(self.codes.probe(node), &links, &mut dots, &mut distances);
            let measured = links.iter().zip(&distances).map(|(&link, &distance)| Candidate::new(link, distance));
            let mut candidates: Vec<Candidate> = measured.collect();
            candidates.sort_unstable_by(Candidate::order);
            select(&self.codes, &candidates, layer.width, &mut links);
        }
        links
    }
}

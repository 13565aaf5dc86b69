//! The graph over a segment's nodes: the layers of HNSW (Malkov and Yashunin 2016) in flat arrays.
//!
//! Layer 0 holds all nodes. A node of a layer is in all layers below. A node's links are as many slots as its layer is wide,
//! filled from the front.

/// An empty slot.
pub(crate) const NONE: u32 = u32::MAX;

/// The links of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a> {
    /// The layer's nodes, ascending; `None` where all are in it.
    pub(crate) nodes: Option<&'a [u32]>,
    pub(crate) width: usize,
    /// `width` nodes for each node of the layer.
    pub(crate) slots: &'a [u32],
}

impl<'a> Layer<'a> {
    /// The nodes that `node` is linked to; none if it is not in the layer.
    #[inline]
    pub(crate) fn links(&self, node: u32) -> &'a [u32] {
        let Some(at) = self.position(node) else { return &[] };
        let slots = &self.slots[at * self.width..(at + 1) * self.width];
        let filled = slots.iter().position(|&link| link == NONE).unwrap_or(self.width);
        &slots[..filled]
    }

    #[inline]
    pub(crate) fn position(&self, node: u32) -> Option<usize> {
        match self.nodes {
            None => Some(node as usize),
            Some(nodes) => nodes.binary_search(&node).ok(),
        }
    }

    /// Asks the processor for a node's links. For layer 0.
    #[inline]
    pub(crate) fn fetch(&self, node: u32) {
        let at = node as usize;
        crate::kernels::bytes::prefetch(self.slots, at * self.width, (at + 1) * self.width);
    }
}

/// All layers, and where a walk begins.
#[derive(Debug, Clone)]
pub(crate) struct Graph<'a> {
    /// From layer 0 upwards; at least one.
    pub(crate) layers: Vec<Layer<'a>>,
    /// A node of the highest layer.
    pub(crate) entry: u32,
}

//! In which order nodes are inserted, and to which layers they belong. Both follow from the node's number alone.

/// More layers than any segment needs: with 16 links, 8 layers hold 16⁸ nodes.
const MOST_LAYERS: usize = 8;

/// SplitMix64's mixing (Steele, Lea and Flood 2014).
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The highest layer of a node: layer `l` holds about one in `linksˡ` nodes.
fn level(node: u32, links: usize) -> usize {
    // From 2⁻⁵³ to 1.
    let uniform = ((mixed(node.into()) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    ((-uniform.ln() / (links.max(2) as f64).ln()) as usize).min(MOST_LAYERS - 1)
}

/// The plan of an insertion.
#[derive(Debug)]
pub(super) struct Order {
    /// All nodes: those of higher layers first, in each layer at random. The first is where walks begin.
    pub(super) nodes: Vec<u32>,
    /// The nodes of the layers above 0, ascending; the last of them is not empty.
    pub(super) upper: Vec<Vec<u32>>,
}

impl Order {
    pub(super) fn new(count: usize, links: usize) -> Self {
        let mut nodes: Vec<u32> = (0..count as u32).collect();
        let place = |&node: &u32| (std::cmp::Reverse(level(node, links)), mixed(u64::from(node) << 32), node);
        nodes.sort_by_cached_key(place);
        let top = nodes.first().map_or(0, |&node| level(node, links));
        let upper = (1..=top).map(|layer| (0..count as u32).filter(|&node| level(node, links) >= layer).collect());
        Self { upper: upper.collect(), nodes }
    }

    /// The highest layer of a node.
    pub(super) fn level(&self, node: u32) -> usize {
        self.upper.iter().take_while(|nodes| nodes.binary_search(&node).is_ok()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn layers_thin_out_and_come_first() {
        let order = Order::new(100_000, 16);
        let sizes: Vec<usize> = order.upper.iter().map(Vec::len).collect();
        assert!((5_900..6_600).contains(&sizes[0]) && (330..460).contains(&sizes[1]), "{sizes:?}");
        let levels: Vec<usize> = order.nodes.iter().map(|&node| order.level(node)).collect();
        assert!(levels.is_sorted_by(|a, b| a >= b));
        assert_eq!(levels[0], sizes.len());
        let mut all = order.nodes.clone();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..100_000));
        assert!(Order::new(0, 16).nodes.is_empty());
    }
}

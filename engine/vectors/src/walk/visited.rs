//! The nodes that a walk has seen.

/// A bit for each node: small enough to stay in the cache beside what the walk reads.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    /// Words with bits in them; one may be named more than once.
    dirty: Vec<u32>,
}

impl Visited {
    /// Forgets everything, for nodes below `nodes`.
    pub(crate) fn reset(&mut self, nodes: usize) {
        let words = nodes.div_ceil(64);
        if self.words.len() != words {
            self.words.clear();
            self.words.resize(words, 0);
        } else if self.dirty.len() < words / 16 {
            self.dirty.iter().for_each(|&word| self.words[word as usize] = 0);
        } else {
            self.words.fill(0);
        }
        self.dirty.clear();
    }

    /// Sees a node. Whether it is the first time.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let bit = 1 << (node % 64);
        let word = &mut self.words[node as usize / 64];
        let new = *word & bit == 0;
        if *word == 0 {
            self.dirty.push(node / 64);
        }
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Visited;

    #[test]
    fn nodes_are_new_once_after_each_reset() {
        let mut visited = Visited::default();
        for (nodes, step) in [(5000, 1), (5000, 1000), (5000, 1000), (64, 1), (5000, 3)] {
            visited.reset(nodes);
            assert!((0..nodes as u32).step_by(step).all(|node| visited.insert(node)));
            assert!((0..nodes as u32).step_by(step).all(|node| !visited.insert(node)));
        }
    }
}

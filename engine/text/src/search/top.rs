//! The best hits so far.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::searcher::Hit;

/// Keeps the `k` best of hits that are offered by ascending segment and row. Of equal scores, earlier rows are better.
pub(super) struct Top {
    k: usize,
    /// The worst on top.
    heap: BinaryHeap<Reverse<Ranked>>,
}

/// A hit by rank: the better, the greater.
#[derive(Debug, Clone, Copy)]
struct Ranked(Hit);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |hit: &Hit| (hit.segment, hit.row);
        self.0.score.total_cmp(&other.0.score).then_with(|| place(&other.0).cmp(&place(&self.0)))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

impl Top {
    pub(super) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    /// The score that the next hit must exceed.
    pub(super) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() >= self.k => worst.0.score,
            _ if self.k == 0 => f32::INFINITY,
            _ => f32::MIN,
        }
    }

    pub(super) fn offer(&mut self, hit: Hit) {
        if hit.score <= self.threshold() {
            return;
        }
        if self.heap.len() >= self.k {
            self.heap.pop();
        }
        self.heap.push(Reverse(Ranked(hit)));
    }

    /// The hits, the best first.
    pub(super) fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(Ranked(hit))| hit).collect()
    }
}

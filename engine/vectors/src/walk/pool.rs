//! The nearest candidates of a walk.

use std::cmp::Ordering;

/// A node and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) distance: f32,
    pub(crate) node: u32,
    /// Whether the walk has followed its links.
    followed: bool,
}

impl Candidate {
    pub(crate) fn new(node: u32, distance: f32) -> Self {
        Self { distance, node, followed: false }
    }

    /// The nearer first, the lower node first among equals: one order on every machine.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.node.cmp(&other.node))
    }
}

/// A bounded number of candidates, the nearest first. One sorted list, because it is short: moving its tail costs less than
/// keeping the heaps of the textbook.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    candidates: Vec<Candidate>,
    capacity: usize,
    /// All before this are followed.
    next: usize,
}

impl Pool {
    pub(crate) fn reset(&mut self, capacity: usize) {
        self.candidates.clear();
        self.capacity = capacity.max(1);
        self.next = 0;
    }

    /// Keeps a candidate, unless as many nearer ones are there as may be.
    #[inline]
    pub(crate) fn offer(&mut self, node: u32, distance: f32) {
        let candidate = Candidate::new(node, distance);
        if self.candidates.len() == self.capacity {
            match self.candidates.last() {
                Some(last) if candidate.order(last).is_lt() => self.candidates.truncate(self.capacity - 1),
                _ => return,
            }
        }
        let at = self.candidates.partition_point(|other| other.order(&candidate).is_lt());
        self.candidates.insert(at, candidate);
        self.next = self.next.min(at);
    }

    /// The nearest candidate whose links were not followed. From now on they were.
    #[inline]
    pub(crate) fn follow(&mut self) -> Option<u32> {
        let ahead = self.candidates.get(self.next..)?.iter().position(|candidate| !candidate.followed);
        self.next = ahead.map_or(self.candidates.len(), |ahead| self.next + ahead);
        let candidate = self.candidates.get_mut(self.next)?;
        candidate.followed = true;
        self.next += 1;
        Some(candidate.node)
    }

    /// What [`Pool::follow`] would answer next, if no one nearer comes.
    #[inline]
    pub(crate) fn ahead(&self) -> Option<u32> {
        let rest = self.candidates.get(self.next..)?;
        rest.iter().find(|candidate| !candidate.followed).map(|candidate| candidate.node)
    }

    /// The candidates, the nearest first.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn the_nearest_stay_and_are_followed_in_order() {
        let mut pool = Pool::default();
        pool.reset(3);
        for (node, distance) in [(1, 5.0), (2, 3.0), (3, 9.0)] {
            pool.offer(node, distance);
        }
        assert_eq!((pool.ahead(), pool.follow()), (Some(2), Some(2)));
        pool.offer(4, 1.0);
        pool.offer(5, 7.0);
        let nodes: Vec<u32> = pool.candidates().iter().map(|candidate| candidate.node).collect();
        assert_eq!(nodes, [4, 2, 1]);
        assert_eq!((pool.follow(), pool.follow(), pool.follow()), (Some(4), Some(1), None));
    }

    #[test]
    fn distances_that_are_no_numbers_are_the_farthest() {
        let mut pool = Pool::default();
        pool.reset(2);
        pool.offer(1, f32::NAN);
        pool.offer(2, f32::INFINITY);
        pool.offer(3, 0.0);
        let nodes: Vec<u32> = pool.candidates().iter().map(|candidate| candidate.node).collect();
        assert_eq!(nodes, [3, 2]);
    }
}

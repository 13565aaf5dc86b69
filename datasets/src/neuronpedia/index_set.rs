//! Sets of feature indices: mostly dense, so kept as ranges.

use serde::{Deserialize, Serialize};

/// A set of indices as ascending ranges that do not touch, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexSet(Vec<(i32, i32)>);

impl IndexSet {
    pub(crate) fn contains(&self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// Adds `index`; false if it was there.
    pub(crate) fn insert(&mut self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        if self.0.get(at).is_some_and(|(first, _)| *first <= index) {
            return false;
        }
        let touches_left = at > 0 && self.0.get(at - 1).is_some_and(|(_, last)| last.checked_add(1) == Some(index));
        let touches_right = self.0.get(at).is_some_and(|(first, _)| index.checked_add(1) == Some(*first));
        match (touches_left, touches_right) {
            (true, true) => {
                let right = self.0.remove(at);
                if let Some(left) = self.0.get_mut(at - 1) {
                    left.1 = right.1;
                }
            }
            (true, false) => {
                if let Some(left) = self.0.get_mut(at - 1) {
                    left.1 = index;
                }
            }
            (false, true) => {
                if let Some(right) = self.0.get_mut(at) {
                    right.0 = index;
                }
            }
            (false, false) => self.0.insert(at, (index, index)),
        }
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = i32> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|(first, last)| (i64::from(*last) - i64::from(*first) + 1) as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds every index of `other`; answers those that were there already.
    pub(crate) fn absorb(&mut self, other: &IndexSet) -> IndexSet {
        let mut shared = IndexSet::default();
        for index in other.iter() {
            if !self.insert(index) {
                shared.insert(index);
            }
        }
        shared
    }

    /// Indices of `self` that `other` lacks.
    pub(crate) fn without(&self, other: &IndexSet) -> IndexSet {
        let mut rest = IndexSet::default();
        for index in self.iter().filter(|index| !other.contains(*index)) {
            rest.insert(index);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_plain_set() {
        let mut set = IndexSet::default();
        let mut plain = std::collections::BTreeSet::new();
        let mut state = 1_u64;
        for _ in 0..4000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let index = (state >> 40) as i32 % 700;
            assert_eq!(set.insert(index), plain.insert(index));
        }
        assert!(set.iter().eq(plain.iter().copied()));
        assert_eq!(set.len(), plain.len());
        for index in -1..701 {
            assert_eq!(set.contains(index), plain.contains(&index));
        }
        for pair in set.0.windows(2) {
            assert!(matches!(pair, [(_, last), (first, _)] if last + 1 < *first));
        }
    }

    #[test]
    fn overlaps_and_differences() {
        let of = |indices: &[i32]| {
            let mut set = IndexSet::default();
            for index in indices {
                set.insert(*index);
            }
            set
        };
        let mut set = of(&[0, 1, 2, 7]);
        assert_eq!(set.absorb(&of(&[2, 3, 7])), of(&[2, 7]));
        assert_eq!(set, of(&[0, 1, 2, 3, 7]));
        assert_eq!(set.without(&of(&[1, 7])), of(&[0, 2, 3]));
        assert!(of(&[i32::MIN, i32::MAX]).contains(i32::MAX));
    }
}

//! Which rows a search may return.

/// A set of rows, as bits: a row's bit is bit `row % 64` of word `row / 64`. Rows past the last word are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFilter {
    words: Vec<u64>,
    count: usize,
}

impl RowFilter {
    /// The set with these bits.
    pub fn from_words(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, count }
    }

    /// Whether the row is in the set.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// How many rows are in the set.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| Bits(word).map(move |bit| at as u32 * 64 + bit))
    }
}

/// Takes memory up to the largest row.
impl FromIterator<u32> for RowFilter {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        let mut words = Vec::new();
        for row in rows {
            let at = row as usize / 64;
            if at >= words.len() {
                words.resize(at + 1, 0);
            }
            words[at] |= 1 << (row % 64);
        }
        Self::from_words(words)
    }
}

/// The positions of a word's bits, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let lowest = (self.0 != 0).then(|| self.0.trailing_zeros())?;
        self.0 &= self.0 - 1;
        Some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::RowFilter;

    #[test]
    fn a_set_holds_its_rows() {
        let rows = [0, 1, 63, 64, 1000];
        let filter: RowFilter = rows.into_iter().chain([64]).collect();
        assert_eq!(filter.rows().collect::<Vec<_>>(), rows);
        assert_eq!(filter.len(), 5);
        assert!(filter.contains(63) && !filter.contains(62) && !filter.contains(u32::MAX));
        assert!(RowFilter::default().is_empty());
    }
}

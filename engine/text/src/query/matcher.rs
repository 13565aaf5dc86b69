//! The evaluation of a query on a text, without an index.

use super::Query;
use crate::analysis::words;

/// Evaluates one query on many texts.
#[derive(Debug)]
pub struct Matcher<'q> {
    query: &'q Query,
    occurrences: Occurrences,
    joined: String,
}

impl<'q> Matcher<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        Self { query, occurrences: Occurrences::default(), joined: String::new() }
    }

    /// As [`Query::matches`].
    pub fn matches(&mut self, text: &str) -> bool {
        let Some(root) = self.query.root() else { return false };
        self.occurrences.read(self.query, text);
        root.holds(&mut |leaf| self.occurrences.starts(self.query.leaf(leaf)).next().is_some())
    }

    /// As [`Query::matches_tokens`].
    pub fn matches_tokens<T: AsRef<str>>(&mut self, tokens: &[T]) -> bool {
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.extend(tokens.iter().map(AsRef::as_ref));
        let matches = self.matches(&joined);
        self.joined = joined;
        matches
    }
}

/// Where a query's patterns are found in a text.
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    /// For each pattern the positions of its words, ascending.
    positions: Vec<Vec<u32>>,
    term: String,
}

impl Occurrences {
    /// Finds the words of `text` that a pattern of `query` matches.
    fn read(&mut self, query: &Query, text: &str) {
        self.read_with(query, text, |_, _, _| {});
    }

    /// As `read`, and tells `found` the position, start and end of each such word, once.
    pub(crate) fn read_with(&mut self, query: &Query, text: &str, mut found: impl FnMut(u32, usize, usize)) {
        let patterns = query.patterns();
        self.positions.resize_with(patterns.len(), Vec::new);
        self.positions.iter_mut().for_each(Vec::clear);
        for word in words(text) {
            query.analysis().term(word.raw, &mut self.term);
            let mut matched = false;
            for (pattern, positions) in patterns.iter().zip(&mut self.positions) {
                if pattern.matches(&self.term) {
                    positions.push(word.position);
                    matched = true;
                }
            }
            if matched {
                found(word.position, word.start, word.start + word.raw.len());
            }
        }
    }

    /// The positions where the clause of these patterns starts.
    pub(crate) fn starts<'a>(&'a self, patterns: &'a [usize]) -> impl Iterator<Item = u32> + 'a {
        let first = patterns.first().map_or(&[][..], |pattern| self.of(*pattern));
        first.iter().copied().filter(move |start| {
            (*start..)
                .zip(patterns)
                .skip(1)
                .all(|(position, pattern)| self.of(*pattern).binary_search(&position).is_ok())
        })
    }

    fn of(&self, pattern: usize) -> &[u32] {
        self.positions.get(pattern).map_or(&[], Vec::as_slice)
    }
}

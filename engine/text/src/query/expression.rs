//! A query after parsing: a tree of clauses over words and phrases.

use std::fmt;

use levenshtein_automata::{DFA, Distance};

/// What one word of a text must be like.
pub(crate) enum Pattern {
    /// The term itself.
    Exact(String),
    /// A term that starts so.
    Prefix(String),
    /// A term at most `distance` edits away.
    Fuzzy { word: String, distance: u8, automaton: DFA },
}

impl Pattern {
    pub(crate) fn matches(&self, term: &str) -> bool {
        match self {
            Self::Exact(word) => word == term,
            Self::Prefix(prefix) => term.starts_with(prefix.as_str()),
            Self::Fuzzy { automaton, .. } => matches!(automaton.eval(term), Distance::Exact(_)),
        }
    }

    /// Whether both stand for the same terms.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Fuzzy { word: a, distance: d, .. }, Self::Fuzzy { word: b, distance: e, .. }) => a == b && d == e,
            _ => false,
        }
    }
}

// The automaton is a table of thousands of states, and follows from the word.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(word) => write!(f, "{word}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Fuzzy { word, distance, .. } => write!(f, "{word}~{distance}"),
        }
    }
}

/// A clause: a word, or several in consecutive places. Holds indexes into the query's patterns, at least one. In a phrase
/// all are [`Pattern::Exact`], but the last may be a [`Pattern::Prefix`].
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) words: Vec<usize>,
}

/// A condition on a text.
#[derive(Debug)]
pub(crate) enum Node {
    /// The query's clause of this index.
    Leaf(usize),
    /// Every one of them; at least two.
    All(Vec<Node>),
    /// At least one of them; at least two.
    Any(Vec<Node>),
    /// Not this, and this is no `Not` itself.
    Not(Box<Node>),
}

impl Node {
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether it holds, where `leaf` tells it of clauses.
    pub(crate) fn holds(&self, leaf: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Self::Leaf(index) => leaf(*index),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(leaf)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(leaf)),
            Self::Not(inner) => !inner.holds(leaf),
        }
    }

    /// The clauses that are not negated, which are those that score and that snippets show, in the order of the query.
    pub(crate) fn positive(&self, into: &mut Vec<usize>) {
        match self {
            Self::Leaf(index) => into.push(*index),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.positive(into)),
            Self::Not(_) => {}
        }
    }
}

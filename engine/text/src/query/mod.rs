//! The query language, and what a query means.
//!
//! | written | found |
//! |---|---|
//! | `cats dogs`, `cats AND dogs` | texts with both words |
//! | `cats OR dogs` | texts with one of them or both; binds weaker than AND |
//! | `-cats`, `NOT cats` | texts without the word |
//! | `"fat cats"` | the words side by side, in this order |
//! | `cat*`, `"fat cat*"` as `"fat cat"*` | words that start so; in a phrase the last word |
//! | `cats~`, `cats~2` | words at most 1 or 2 edits away: letters put in, left out, replaced, or two neighbours swapped |
//! | `(cats OR dogs) -birds` | parentheses |
//!
//! As in Postgres' `websearch_to_tsquery`, several words are to be found all, in any order. Operators are written in
//! capitals, or as `&&`, `||` and `-`. Other marks are no words and are passed over. A word that is cut into several
//! (`torch.nn`, see [`Analysis`]) is a phrase. A query without any word matches nothing; one of negations alone matches every
//! text that lacks them. NULL is no text and matches nothing, negations included.
//!
//! Fields, ranges, regular expressions and weights are refused.

mod expression;
mod lexer;
mod matcher;
mod parser;

use std::fmt;

pub(crate) use expression::{Leaf, Node, Pattern};
pub use matcher::Matcher;
pub(crate) use matcher::Occurrences;

use crate::analysis::Analysis;
use crate::error::Result;

/// How large a query may be. Time and memory of parsing and of a search grow with these, so that no text from outside can
/// make them large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the query's text.
    pub bytes: usize,
    /// Words and phrases.
    pub clauses: usize,
    /// Parentheses inside each other.
    pub depth: usize,
    /// Words of a phrase.
    pub phrase: usize,
    /// Words with `*` or `~`. Each of them reads, in the worst case, all words of an index.
    pub expanding: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 10, clauses: 256, depth: 16, phrase: 64, expanding: 16 }
    }
}

/// A parsed query; see [`crate::query`] for how one is written.
pub struct Query {
    text: String,
    analysis: Analysis,
    root: Option<Node>,
    leaves: Vec<Leaf>,
    patterns: Vec<Pattern>,
}

impl Query {
    /// Parses `text` for columns whose words are taken as they are.
    ///
    /// # Errors
    ///
    /// `Syntax` says what is wrong and where; `TooLarge` names the limit.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self> {
        Self::parse_as(text, Analysis::default(), limits)
    }

    /// Parses `text` for columns of this `analysis`.
    ///
    /// # Errors
    ///
    /// As [`Query::parse`].
    pub fn parse_as(text: &str, analysis: Analysis, limits: &Limits) -> Result<Self> {
        let parser::Parsed { root, leaves, patterns } = parser::parse(text, analysis, limits)?;
        Ok(Self { text: text.to_owned(), analysis, root, leaves, patterns })
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How the query's words were made.
    pub fn analysis(&self) -> Analysis {
        self.analysis
    }

    /// Whether the query has no word at all, and so matches nothing.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Whether `text` is found by the query. This is what a query means; an index finds the same rows.
    ///
    /// For many texts, a [`Query::matcher`] is faster.
    pub fn matches(&self, text: &str) -> bool {
        self.matcher().matches(text)
    }

    /// Whether the text that `tokens` make together is found by the query.
    pub fn matches_tokens<T: AsRef<str>>(&self, tokens: &[T]) -> bool {
        self.matcher().matches_tokens(tokens)
    }

    /// An evaluator that keeps its memory from text to text.
    pub fn matcher(&self) -> Matcher<'_> {
        Matcher::new(self)
    }

    pub(crate) fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The patterns of the clause `index`, in order.
    pub(crate) fn leaf(&self, index: usize) -> &[usize] {
        self.leaves.get(index).map_or(&[], |leaf| &leaf.words)
    }

    pub(crate) fn pattern(&self, index: usize) -> Option<&Pattern> {
        self.patterns.get(index)
    }

    /// The clauses that score and are shown.
    pub(crate) fn positive(&self) -> Vec<usize> {
        let mut leaves = Vec::new();
        if let Some(root) = &self.root {
            root.positive(&mut leaves);
        }
        leaves
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("text", &self.text).field("analysis", &self.analysis).finish_non_exhaustive()
    }
}

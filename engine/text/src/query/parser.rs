//! From tokens to a tree of clauses.
//!
//! ```text
//! any    = all { OR all }
//! all    = unary { [AND] unary }
//! unary  = { NOT } ( "(" any ")" | word | phrase )
//! ```
//!
//! Text without any word in it (`&`, `""`) is left out, with the operators around it.

use std::sync::LazyLock;

use levenshtein_automata::LevenshteinAutomatonBuilder;

use super::Limits;
use super::expression::{Leaf, Node, Pattern};
use super::lexer::{Kind, Suffix, Token, tokens};
use crate::analysis::{Analysis, MAX_WORD, all_words, fold};
use crate::error::{Error, Result};

/// What the parser makes of a query's text.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) root: Option<Node>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) patterns: Vec<Pattern>,
}

pub(crate) fn parse(query: &str, analysis: Analysis, limits: &Limits) -> Result<Parsed> {
    if query.len() > limits.bytes {
        return Err(Error::too_large(format!("the query is longer than {} bytes", limits.bytes)));
    }
    let tokens = tokens(query)?;
    let mut parser =
        Parser { tokens: &tokens, end: query.len(), analysis, limits, expanding: 0, parsed: Parsed::default() };
    let root = parser.any(0)?;
    if let Some(token) = parser.tokens.first() {
        return Err(Error::syntax(token.at, "this `)` closes nothing"));
    }
    Ok(Parsed { root, ..parser.parsed })
}

struct Parser<'a> {
    /// What is still to be read.
    tokens: &'a [Token<'a>],
    /// The query's length, where errors about its end are.
    end: usize,
    analysis: Analysis,
    limits: &'a Limits,
    /// How many prefixes and fuzzy words there are.
    expanding: usize,
    parsed: Parsed,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Kind<'a>> {
        self.tokens.first().map(|token| token.kind)
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    /// Whether the next token is `kind`, which then is passed.
    fn passed(&mut self, kind: Kind<'_>) -> bool {
        let next = self.peek() == Some(kind);
        if next {
            self.advance();
        }
        next
    }

    fn at(&self) -> usize {
        self.tokens.first().map_or(self.end, |token| token.at)
    }

    fn any(&mut self, depth: usize) -> Result<Option<Node>> {
        let mut nodes = Vec::new();
        if self.ended() {
            return Ok(None);
        }
        loop {
            if let Some(node) = self.all(depth)? {
                join(&mut nodes, node, |node| match node {
                    Node::Any(inner) => Ok(inner),
                    other => Err(other),
                });
            }
            if !self.passed(Kind::Or) {
                return Ok(one_or(nodes, Node::Any));
            }
        }
    }

    fn all(&mut self, depth: usize) -> Result<Option<Node>> {
        let mut nodes = Vec::new();
        loop {
            if let Some(node) = self.unary(depth)? {
                join(&mut nodes, node, |node| match node {
                    Node::All(inner) => Ok(inner),
                    other => Err(other),
                });
            }
            if !self.passed(Kind::And) && (self.ended() || self.peek() == Some(Kind::Or)) {
                return Ok(one_or(nodes, Node::All));
            }
        }
    }

    /// Whether the query or its parenthesis ends here.
    fn ended(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Close))
    }

    fn unary(&mut self, depth: usize) -> Result<Option<Node>> {
        let mut negative = false;
        while self.passed(Kind::Not) {
            negative = !negative;
        }
        let node = self.primary(depth)?;
        Ok(if negative { node.map(Node::negated) } else { node })
    }

    fn primary(&mut self, depth: usize) -> Result<Option<Node>> {
        let at = self.at();
        match self.peek() {
            Some(Kind::Open) => {
                if depth == self.limits.depth {
                    return Err(Error::too_large(format!(
                        "the query has more than {depth} parentheses inside each other"
                    )));
                }
                self.advance();
                let inner = self.any(depth + 1)?;
                if !self.passed(Kind::Close) {
                    return Err(Error::syntax(at, "this `(` is never closed"));
                }
                Ok(inner)
            }
            Some(Kind::Text { text, suffix, .. }) => {
                self.advance();
                self.clause(at, text, suffix)
            }
            Some(Kind::And | Kind::Or | Kind::Not) => {
                Err(Error::syntax(at, "an operator needs a word on its right and, but for NOT, on its left"))
            }
            Some(Kind::Close) | None => Err(Error::syntax(at, "the operator before this needs a word on its right")),
        }
    }

    /// The words of `text` as one clause: a word, or a phrase where there are several.
    fn clause(&mut self, at: usize, text: &str, suffix: Suffix) -> Result<Option<Node>> {
        let found: Vec<&str> = self.words(at, text)?;
        let Some((last, before)) = found.split_last() else {
            return match suffix {
                Suffix::None => Ok(None),
                _ => Err(Error::syntax(at, "`*` and `~` need a word right before them")),
            };
        };
        if matches!(suffix, Suffix::Fuzzy(_)) && !before.is_empty() {
            return Err(Error::syntax(at, "`~` is for one word, and this is cut into several"));
        }
        let mut words = Vec::with_capacity(found.len());
        for word in before {
            words.push(self.exact(word));
        }
        words.push(self.last(at, last, suffix)?);
        if self.parsed.leaves.len() == self.limits.clauses {
            return Err(Error::too_large(format!("the query has more than {} words and phrases", self.limits.clauses)));
        }
        self.parsed.leaves.push(Leaf { words });
        Ok(Some(Node::Leaf(self.parsed.leaves.len() - 1)))
    }

    fn words<'t>(&self, at: usize, text: &'t str) -> Result<Vec<&'t str>> {
        let found: Vec<&str> = all_words(text).map(|word| word.raw).collect();
        if found.iter().any(|word| word.len() > MAX_WORD) {
            return Err(Error::too_large(format!("a word at byte {at} of the query is longer than {MAX_WORD} bytes")));
        }
        if found.len() > self.limits.phrase {
            return Err(Error::too_large(format!("a phrase of the query has more than {} words", self.limits.phrase)));
        }
        Ok(found)
    }

    fn last(&mut self, at: usize, word: &str, suffix: Suffix) -> Result<usize> {
        let mut folded = String::new();
        fold(word, &mut folded);
        let pattern = match suffix {
            Suffix::None => return Ok(self.exact(word)),
            Suffix::Prefix => Pattern::Prefix(folded),
            Suffix::Fuzzy(distance) => fuzzy(at, folded, distance)?,
        };
        self.expanding += 1;
        if self.expanding > self.limits.expanding {
            let limit = self.limits.expanding;
            return Err(Error::too_large(format!("the query has more than {limit} words with `*` or `~`")));
        }
        Ok(self.pattern(pattern))
    }

    fn exact(&mut self, word: &str) -> usize {
        let mut term = String::new();
        self.analysis.term(word, &mut term);
        self.pattern(Pattern::Exact(term))
    }

    /// The index of `pattern`, which is kept once.
    fn pattern(&mut self, pattern: Pattern) -> usize {
        let patterns = &mut self.parsed.patterns;
        patterns.iter().position(|known| known.same(&pattern)).unwrap_or_else(|| {
            patterns.push(pattern);
            patterns.len() - 1
        })
    }
}

/// The longest fuzzy word, in letters: its automaton grows with it.
const MAX_FUZZY: usize = 64;

fn fuzzy(at: usize, word: String, distance: u8) -> Result<Pattern> {
    // Making a builder takes milliseconds, making an automaton with it microseconds.
    static ONE: LazyLock<LevenshteinAutomatonBuilder> = LazyLock::new(|| LevenshteinAutomatonBuilder::new(1, true));
    static TWO: LazyLock<LevenshteinAutomatonBuilder> = LazyLock::new(|| LevenshteinAutomatonBuilder::new(2, true));
    if word.chars().count() > MAX_FUZZY {
        return Err(Error::too_large(format!(
            "the fuzzy word at byte {at} of the query has more than {MAX_FUZZY} letters"
        )));
    }
    let builder = if distance == 1 { &ONE } else { &TWO };
    let automaton = builder.build_dfa(&word);
    Ok(Pattern::Fuzzy { word, distance, automaton })
}

/// Adds `node` to its siblings, or what `open` finds in it: a list in a list of the same kind is one list.
fn join(nodes: &mut Vec<Node>, node: Node, open: impl FnOnce(Node) -> Result<Vec<Node>, Node>) {
    match open(node) {
        Ok(inner) => nodes.extend(inner),
        Err(node) => nodes.push(node),
    }
}

/// The only node, or `list` of several.
fn one_or(mut nodes: Vec<Node>, list: impl FnOnce(Vec<Node>) -> Node) -> Option<Node> {
    if nodes.len() > 1 { Some(list(nodes)) } else { nodes.pop() }
}

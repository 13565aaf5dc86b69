//! From our query to tantivy's.

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, FuzzyTermQuery, Occur, PhraseQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::excluded::Excluded;
use super::phrase_prefix::PhrasePrefix;
use crate::query::{Node, Pattern, Query};

type Boxed = Box<dyn tantivy::query::Query>;

/// The query that finds what `node` does.
pub(super) fn node(query: &Query, node: &Node, field: Field) -> Boxed {
    let plan = |inner| self::node(query, inner, field);
    match node {
        Node::Leaf(index) => leaf(query, *index, field),
        Node::All(nodes) => {
            let (without, with): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| matches!(node, Node::Not(_)));
            let with = with.into_iter().map(plan).collect();
            let without = without.into_iter().filter_map(|node| match node {
                Node::Not(inner) => Some(plan(inner)),
                _ => None,
            });
            all(with, without)
        }
        Node::Any(nodes) => Box::new(BooleanQuery::new(nodes.iter().map(|node| (Occur::Should, plan(node))).collect())),
        Node::Not(inner) => all(Vec::new(), std::iter::once(plan(inner))),
    }
}

/// What every one of `with` finds and none of `without`. Without any of the former, that is of all rows, which then score 0.
fn all(mut with: Vec<Boxed>, without: impl Iterator<Item = Boxed>) -> Boxed {
    if with.is_empty() {
        with.push(Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0)));
    }
    let without = without.map(|query| (Occur::MustNot, Box::new(Excluded(query)) as Boxed));
    let with = with.into_iter().map(|query| (Occur::Must, query));
    Box::new(BooleanQuery::new(with.chain(without).collect()))
}

/// The query of the clause `index`.
pub(super) fn leaf(query: &Query, index: usize, field: Field) -> Boxed {
    let patterns: Vec<&Pattern> = query.leaf(index).iter().filter_map(|pattern| query.pattern(*pattern)).collect();
    match patterns.as_slice() {
        [] => Box::new(EmptyQuery),
        [Pattern::Exact(word)] => Box::new(TermQuery::new(term(field, word), IndexRecordOption::WithFreqs)),
        [Pattern::Prefix(prefix)] => Box::new(FuzzyTermQuery::new_prefix(term(field, prefix), 0, true)),
        [Pattern::Fuzzy { word, distance, .. }] => Box::new(FuzzyTermQuery::new(term(field, word), *distance, true)),
        [before @ .., Pattern::Prefix(prefix)] => {
            let words = terms(field, before);
            Box::new(ConstScoreQuery::new(Box::new(PhrasePrefix { words, prefix: term(field, prefix) }), 1.0))
        }
        words => Box::new(PhraseQuery::new(terms(field, words))),
    }
}

/// The words of those patterns, which all are [`Pattern::Exact`].
fn terms(field: Field, patterns: &[&Pattern]) -> Vec<Term> {
    patterns
        .iter()
        .map(|pattern| match pattern {
            Pattern::Exact(word) | Pattern::Prefix(word) | Pattern::Fuzzy { word, .. } => term(field, word),
        })
        .collect()
}

fn term(field: Field, word: &str) -> Term {
    Term::from_field_text(field, word)
}

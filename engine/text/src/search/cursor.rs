//! The score of given rows, clause by clause.
//!
//! Tantivy adds up the clauses' scores in whatever order is fastest, and sums of floating-point numbers differ in their last bit
//! by the order. Rows with equal texts must have equal scores in all segments, so scores are those that are added up here, in
//! the order of the query.

use tantivy::query::{EnableScoring, Scorer, Weight};
use tantivy::{DocSet, SegmentReader, TERMINATED};

use super::plan;
use crate::error::Result;
use crate::query::{Node, Query};
use crate::segment::Segment;

/// A query's clauses with their weights, to be put on segments.
pub(super) enum Weights {
    Leaf(Box<dyn Weight>),
    All(Vec<Weights>),
    Any(Vec<Weights>),
    Not(Box<Weights>),
}

impl Weights {
    pub(super) fn new(query: &Query, node: &Node, segment: &Segment, scoring: EnableScoring<'_>) -> Result<Self> {
        let each =
            |nodes: &[Node]| nodes.iter().map(|node| Self::new(query, node, segment, scoring)).collect::<Result<_>>();
        Ok(match node {
            Node::Leaf(index) => Self::Leaf(plan::leaf(query, *index, segment.field()).weight(scoring)?),
            Node::All(nodes) => Self::All(each(nodes)?),
            Node::Any(nodes) => Self::Any(each(nodes)?),
            Node::Not(inner) => {
                let unscored = EnableScoring::disabled_from_schema(segment.searcher().schema());
                Self::Not(Box::new(Self::new(query, inner, segment, unscored)?))
            }
        })
    }

    pub(super) fn cursor(&self, reader: &SegmentReader) -> Result<Cursor> {
        let each = |weights: &[Self]| weights.iter().map(|weights| weights.cursor(reader)).collect::<Result<_>>();
        Ok(match self {
            Self::Leaf(weight) => Cursor::Leaf(weight.scorer(reader, 1.0)?),
            Self::All(weights) => Cursor::All(each(weights)?),
            Self::Any(weights) => Cursor::Any(each(weights)?),
            Self::Not(inner) => Cursor::Not(Box::new(inner.cursor(reader)?)),
        })
    }
}

/// Moves forward over a segment's rows.
pub(super) enum Cursor {
    Leaf(Box<dyn Scorer>),
    All(Vec<Cursor>),
    Any(Vec<Cursor>),
    Not(Box<Cursor>),
}

impl Cursor {
    /// The score of `row`, or `None` where it does not match. Rows must be asked for in ascending order.
    pub(super) fn score(&mut self, row: u32) -> Option<f32> {
        match self {
            Self::Leaf(scorer) => {
                if scorer.doc() < row {
                    scorer.seek(row);
                }
                (scorer.doc() == row).then(|| scorer.score())
            }
            Self::All(cursors) => cursors.iter_mut().try_fold(0.0, |sum, cursor| Some(sum + cursor.score(row)?)),
            Self::Any(cursors) => {
                let scores = cursors.iter_mut().filter_map(|cursor| cursor.score(row));
                scores.fold(None, |sum: Option<f32>, score| Some(sum.unwrap_or(0.0) + score))
            }
            Self::Not(inner) => inner.score(row).is_none().then_some(0.0),
        }
    }

    /// About how many rows match, of `rows`.
    pub(super) fn estimate(&self, rows: u32) -> u32 {
        match self {
            Self::Leaf(scorer) if scorer.doc() == TERMINATED => 0,
            Self::Leaf(scorer) => scorer.size_hint(),
            Self::All(cursors) => cursors.iter().map(|cursor| cursor.estimate(rows)).min().unwrap_or(0),
            Self::Any(cursors) => cursors.iter().map(|cursor| cursor.estimate(rows)).fold(0, u32::saturating_add),
            Self::Not(_) => rows,
        }
    }
}

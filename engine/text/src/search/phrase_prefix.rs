//! Phrases whose last word is a prefix.
//!
//! Tantivy's own query for these stops at a number of words, and with it would find fewer rows than the query means. This one
//! finds the rows with the words before the prefix once, and then reads the words that the prefix stands for one by one.

use std::collections::BTreeMap;

use tantivy::postings::{Postings, SegmentPostings};
use tantivy::query::{
    BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, FuzzyTermQuery, Query, Scorer, Weight,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError, Term};

/// `words`, at least one, and right behind them a word that starts with `prefix`.
#[derive(Debug, Clone)]
pub(super) struct PhrasePrefix {
    pub(super) words: Vec<Term>,
    pub(super) prefix: Term,
}

impl Query for PhrasePrefix {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for PhrasePrefix {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let places = self.places(reader)?;
        if places.is_empty() {
            return Ok(Box::new(EmptyScorer));
        }
        let mut rows = BitSet::with_max_value(reader.max_doc());
        let index = reader.inverted_index(self.prefix.field())?;
        let automaton = FuzzyTermQuery::new_prefix(self.prefix.clone(), 0, true).automaton()?;
        let mut stream = index.terms().search(&automaton).into_stream()?;
        let mut positions = Vec::new();
        while stream.advance() {
            let option = IndexRecordOption::WithFreqsAndPositions;
            let mut postings = index.read_postings_from_terminfo(stream.value(), option)?;
            for (row, wanted) in &places {
                if moved(&mut postings, *row) {
                    postings.positions(&mut positions);
                    if wanted.iter().any(|position| positions.binary_search(position).is_ok()) {
                        rows.insert(*row);
                    }
                }
                if postings.doc() == TERMINATED {
                    break;
                }
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(rows), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Err(TantivyError::InvalidArgument("a phrase that ends in a prefix counts 1".to_owned()))
    }
}

impl PhrasePrefix {
    /// For each row with the words side by side, the positions right behind them.
    fn places(&self, reader: &SegmentReader) -> tantivy::Result<BTreeMap<DocId, Vec<u32>>> {
        let mut places = BTreeMap::new();
        let mut cursors = Vec::with_capacity(self.words.len());
        for word in &self.words {
            let index = reader.inverted_index(word.field())?;
            match index.read_postings(word, IndexRecordOption::WithFreqsAndPositions)? {
                Some(postings) => cursors.push(postings),
                None => return Ok(places),
            }
        }
        let Some((first, others)) = cursors.split_first_mut() else { return Ok(places) };
        let mut row = first.doc();
        while row != TERMINATED {
            if others.iter_mut().all(|other| moved(other, row)) {
                let ends = ends(first, others);
                if !ends.is_empty() {
                    places.insert(row, ends);
                }
            }
            row = first.advance();
        }
        Ok(places)
    }
}

/// Where, in the row that all cursors are at, `first` is followed by the `others`: the positions behind the last.
fn ends(first: &mut SegmentPostings, others: &mut [SegmentPostings]) -> Vec<u32> {
    let mut ends = Vec::new();
    first.positions_with_offset(1, &mut ends);
    let mut positions = Vec::new();
    for other in others {
        other.positions(&mut positions);
        ends.retain(|end| positions.binary_search(end).is_ok());
        ends.iter_mut().for_each(|end| *end += 1);
    }
    ends
}

/// Moves forward to `row`, if not behind it, and tells whether it is there.
fn moved(postings: &mut SegmentPostings, row: DocId) -> bool {
    if postings.doc() < row {
        postings.seek(row);
    }
    postings.doc() == row
}

//! A segment in a searcher: which of its rows count.

use roaring::RoaringBitmap;
use tantivy::schema::IndexRecordOption;
use tantivy::{BitSet, Term};

use crate::error::Result;
use crate::segment::Segment;

/// A segment and its rows that are live and not NULL.
pub(super) struct Part {
    pub(super) segment: Segment,
    /// `None`: all rows.
    live: Option<BitSet>,
    pub(super) rows: u64,
    pub(super) words: u64,
}

impl Part {
    pub(super) fn new(segment: Segment, live: Option<&RoaringBitmap>) -> Self {
        let all = u64::from(segment.rows());
        let nulls = segment.nulls();
        if live.is_none() && nulls.is_empty() {
            let words = segment.words();
            return Self { segment, live: None, rows: all, words };
        }
        let mut bits = BitSet::with_max_value(segment.rows());
        let mut words = 0;
        let counts = |row: &u32| live.is_none_or(|live| live.contains(*row)) && !nulls.contains(*row);
        for row in (0..segment.rows()).filter(counts) {
            bits.insert(row);
            words += u64::from(segment.length(row));
        }
        let rows = bits.len() as u64;
        let live = (rows < all).then_some(bits);
        Self { segment, live, rows, words }
    }

    /// Whether the row, which is one of the segment, is live and has a text.
    pub(super) fn counts(&self, row: u32) -> bool {
        self.live.as_ref().is_none_or(|live| live.contains(row))
    }

    /// How many such rows have the word.
    pub(super) fn frequency(&self, term: &Term) -> Result<u64> {
        let Some(reader) = self.segment.reader() else { return Ok(0) };
        let index = reader.inverted_index(self.segment.field())?;
        let Some(live) = &self.live else { return Ok(u64::from(index.doc_freq(term)?)) };
        let Some(mut blocks) = index.read_block_postings(term, IndexRecordOption::Basic)? else { return Ok(0) };
        let mut found = 0;
        while !blocks.docs().is_empty() {
            found += blocks.docs().iter().filter(|row| live.contains(**row)).count() as u64;
            blocks.advance();
        }
        Ok(found)
    }
}

//! What BM25 asks about all rows together, told to tantivy.

use quick_cache::sync::Cache;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::Field;
use tantivy::{TantivyError, Term};

use super::live::Part;
use crate::error::Result;

/// How many words' frequencies are kept.
const KEPT: usize = 4096;

/// Counts over the live rows of all segments.
pub(super) struct Statistics {
    pub(super) parts: Vec<Part>,
    rows: u64,
    words: u64,
    /// By word. Counting reads the word's whole list where some rows are dead.
    frequencies: Cache<Vec<u8>, u64>,
}

impl Statistics {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let rows = parts.iter().map(|part| part.rows).sum();
        let words = parts.iter().map(|part| part.words).sum();
        Self { parts, rows, words, frequencies: Cache::new(KEPT) }
    }

    /// How many rows have a text.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many words a row has on average; `None` without words.
    pub(super) fn mean_length(&self) -> Option<f32> {
        (self.words > 0).then(|| self.words as f32 / self.rows as f32)
    }

    fn frequency(&self, term: &Term) -> Result<u64> {
        let word = term.serialized_value_bytes();
        self.frequencies.get_or_insert_with(word, || self.parts.iter().map(|part| part.frequency(term)).sum())
    }
}

impl Bm25StatisticsProvider for Statistics {
    // Without rows or words nothing matches, and what is told then must only not divide by zero.
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.words.max(1))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.rows.max(1))
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        self.frequency(term).map_err(|error| TantivyError::InternalError(error.to_string()))
    }
}

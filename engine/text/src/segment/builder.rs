//! Building a segment from texts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use roaring::RoaringBitmap;
use tantivy::directory::{OwnedBytes, RamDirectory};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{Directory, Index, IndexSettings, SingleSegmentIndexWriter, TantivyDocument};

use super::bundle::Bundle;
use super::lengths::LengthsBuilder;
use super::tokenizer::WordTokenizer;
use super::{ABOUT, About, LENGTHS, NULLS, Segment};
use crate::analysis::Analysis;
use crate::error::{Error, Result};

/// The one field of the index.
pub(super) const FIELD: &str = "text";
/// The name of our tokenizer in the index. Nothing looks it up in an open segment, since queries bring their terms.
const TOKENIZER: &str = "words";
/// What the writer's table of words starts with, in bytes; it grows. Small, since many segments have a few rows.
const START_MEMORY: usize = 4 << 20;
/// Tantivy numbers rows with 31 bits.
const MAX_ROWS: u32 = i32::MAX as u32;

/// Collects texts row by row and makes a [`Segment`] of them. Everything is in memory until [`SegmentBuilder::finish`].
pub struct SegmentBuilder {
    analysis: Analysis,
    writer: SingleSegmentIndexWriter,
    directory: RamDirectory,
    field: Field,
    words: Arc<AtomicU32>,
    lengths: LengthsBuilder,
    nulls: RoaringBitmap,
    joined: String,
}

impl SegmentBuilder {
    /// A segment without rows, for texts to be taken as `analysis` says.
    ///
    /// # Errors
    ///
    /// `Internal`, if the library below cannot start an index.
    pub fn new(analysis: Analysis) -> Result<Self> {
        let words = Arc::new(AtomicU32::new(0));
        let tokenizers = TokenizerManager::new();
        let tokenizer = WordTokenizer { analysis, count: Arc::clone(&words) };
        tokenizers.register(TOKENIZER, TextAnalyzer::from(tokenizer));
        let (schema, field) = schema();
        let directory = RamDirectory::create();
        let writer = Index::builder()
            .schema(schema)
            .settings(settings())
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), START_MEMORY)?;
        let (lengths, nulls) = (LengthsBuilder::default(), RoaringBitmap::new());
        Ok(Self { analysis, writer, directory, field, words, lengths, nulls, joined: String::new() })
    }

    /// How many rows were added.
    pub fn rows(&self) -> u32 {
        self.lengths.rows()
    }

    /// Adds the next row, which is NULL where `text` is `None`.
    ///
    /// # Errors
    ///
    /// `TooLarge` beyond 2³¹ − 1 rows.
    pub fn add(&mut self, text: Option<&str>) -> Result<()> {
        let row = self.rows();
        if row == MAX_ROWS {
            return Err(Error::too_large(format!("a text segment has at most {MAX_ROWS} rows")));
        }
        self.words.store(0, Ordering::Relaxed);
        let mut document = TantivyDocument::new();
        match text {
            Some(text) => document.add_text(self.field, text),
            None => {
                self.nulls.insert(row);
            }
        }
        self.writer.add_document(document)?;
        self.lengths.push(self.words.load(Ordering::Relaxed));
        Ok(())
    }

    /// Adds the next row, whose text is that of `tokens` one after the other: ` the`, `ing`. A word cut into tokens is found
    /// whole, by the same queries that [`crate::Query::matches_tokens`] says.
    ///
    /// # Errors
    ///
    /// As [`SegmentBuilder::add`].
    pub fn add_tokens<T: AsRef<str>>(&mut self, tokens: Option<&[T]>) -> Result<()> {
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.extend(tokens.into_iter().flatten().map(AsRef::as_ref));
        let added = self.add(tokens.map(|_| joined.as_str()));
        self.joined = joined;
        added
    }

    /// The segment of all rows, in memory.
    ///
    /// # Errors
    ///
    /// `Internal`, if the library below fails.
    pub fn finish(self) -> Result<Segment> {
        self.writer.finalize()?;
        assemble(&self.directory, self.analysis, self.lengths, &self.nulls)
    }
}

impl fmt::Debug for SegmentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        f.debug_struct("SegmentBuilder").field("rows", &rows).field("analysis", &self.analysis).finish_non_exhaustive()
    }
}

fn schema() -> (Schema, Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut schema = Schema::builder();
    let field = schema.add_text_field(FIELD, TextOptions::default().set_indexing_options(indexing));
    (schema.build(), field)
}

pub(super) fn settings() -> IndexSettings {
    // Nothing is stored, so there is nothing to compress.
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// Puts the index in `directory` and what we know of its rows into one bundle.
pub(super) fn assemble(
    directory: &RamDirectory,
    analysis: Analysis,
    lengths: LengthsBuilder,
    nulls: &RoaringBitmap,
) -> Result<Segment> {
    let about = About { rows: lengths.rows(), analysis, words: lengths.total() };
    let mut null_bytes = Vec::with_capacity(nulls.serialized_size());
    nulls.serialize_into(&mut null_bytes)?;
    let ours = [(ABOUT, about.to_bytes()), (LENGTHS, lengths.into_bytes()), (NULLS, null_bytes)];
    let mut parts: Vec<(PathBuf, OwnedBytes)> =
        ours.into_iter().map(|(name, bytes)| (name.into(), OwnedBytes::new(bytes))).collect();
    for name in Index::open(directory.clone())?.load_metas()?.list_segment_files() {
        if directory.exists(&name).map_err(tantivy::TantivyError::from)? {
            let bytes = directory.open_read(&name).map_err(tantivy::TantivyError::from)?.read_bytes()?;
            parts.push((name, bytes));
        }
    }
    let meta = PathBuf::from("meta.json");
    let bytes = directory.atomic_read(&meta).map_err(tantivy::TantivyError::from)?;
    parts.push((meta, OwnedBytes::new(bytes)));
    let parts: Vec<_> = parts.iter().map(|(name, bytes)| (name.as_path(), bytes.as_slice())).collect();
    Segment::from_bundle(Bundle::build(&parts)?)
}

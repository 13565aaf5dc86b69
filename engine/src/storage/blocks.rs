//! Blocks: runs of rows of data files, decoded once and kept while memory allows.
//!
//! A scan takes pages as they come. A look-up wants a few rows out of millions, again and again: a sparse
//! index over each sorted file tells which blocks can hold a key, and columns of blocks that were decoded stay
//! in a cache. Data files never change, so neither can go stale.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::{SortOptions, cast, concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{Row, RowConverter, Rows, SortField};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::OnceCell;

use super::files::LiveFile;
use crate::{Error, ErrorKind, Result};

/// Columns of blocks, and the files they are from, that were read lately.
pub(crate) struct BlockCache {
    files: Cache<Path, Arc<BlockFile>>,
    columns: Cache<ColumnOfBlock, ArrayRef, ByMemory>,
    keys: Cache<KeysOfBlock, Arc<Rows>, ByMemory>,
}

/// The first columns of the key of a block's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct KeysOfBlock {
    file: u64,
    block: usize,
    /// How many columns.
    columns: usize,
}

/// A block of a file, as far as it was asked for.
pub(crate) struct Block {
    /// The first columns of the key, as bytes.
    pub keys: Arc<Rows>,
    pub columns: Vec<ArrayRef>,
}

/// A column of a block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ColumnOfBlock {
    /// The file's number.
    file: u64,
    block: usize,
    /// Place of the column in the table's schema.
    column: usize,
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<ColumnOfBlock, ArrayRef> for ByMemory {
    fn weight(&self, _: &ColumnOfBlock, column: &ArrayRef) -> u64 {
        column.get_array_memory_size() as u64
    }
}

/// What is read of a file's end at once: usually all of its footer.
const FOOTER_BYTES: usize = 64 << 10;
impl Weighter<KeysOfBlock, Arc<Rows>> for ByMemory {
    fn weight(&self, _: &KeysOfBlock, keys: &Arc<Rows>) -> u64 {
        keys.size() as u64
    }
}

/// Share of the cache that is for keys, in parts of the whole.
const KEYS_SHARE: usize = 8;
/// Files that are kept open.
const FILES: usize = 4096;
/// Number of the next file that is opened.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
/// What a column of a block weighs about, for the cache to plan by.
const TYPICAL_COLUMN_BYTES: usize = 16 << 10;

impl BlockCache {
    /// A cache of up to `bytes` of decoded columns.
    pub(crate) fn new(bytes: usize) -> Self {
        let keys = bytes / KEYS_SHARE;
        let columns = bytes - keys;
        Self {
            files: Cache::new(FILES),
            columns: Cache::with_weighter(columns / TYPICAL_COLUMN_BYTES, columns as u64, ByMemory),
            keys: Cache::with_weighter(keys / TYPICAL_COLUMN_BYTES, keys as u64, ByMemory),
        }
    }

    /// The blocks `blocks` of a file, which ascend: the columns `columns`, and those of the key `key`.
    pub(crate) async fn blocks(
        &self,
        file: &BlockFile,
        blocks: &[usize],
        key: &[usize],
        columns: &[usize],
    ) -> Result<Vec<Block>> {
        let number = |block: usize| KeysOfBlock { file: file.number, block, columns: key.len() };
        let known: Vec<Option<Arc<Rows>>> = blocks.iter().map(|block| self.keys.get(&number(*block))).collect();
        let wanted: Vec<usize> = match known.iter().all(Option::is_some) {
            true => columns.to_vec(),
            false => key.iter().chain(columns).copied().collect(),
        };
        let read = self.columns(file, blocks, &wanted).await?;
        let converter = key_converter(&file.schema, key)?;
        let built = blocks.iter().zip(known).zip(read).map(|((block, known), mut arrays)| {
            let columns = arrays.split_off(arrays.len() - columns.len());
            let keys = match known {
                Some(keys) => keys,
                None => {
                    let keys = Arc::new(converter.convert_columns(&arrays).map_err(internal)?);
                    self.keys.insert(number(*block), Arc::clone(&keys));
                    keys
                }
            };
            Ok(Block { keys, columns })
        });
        built.collect()
    }

    /// A data file, open.
    pub(crate) async fn file(&self, place: &FilePlace<'_>) -> Result<Arc<BlockFile>> {
        self.files.get_or_insert_async(&place.path, async { BlockFile::open(place).await.map(Arc::new) }).await
    }

    /// The columns `columns` (places in the table's schema) of each of `blocks`, which ascend. What is not in the
    /// cache is read in one go: to read from a column, its dictionary has to be decoded, and that once.
    pub(crate) async fn columns(
        &self,
        file: &BlockFile,
        blocks: &[usize],
        columns: &[usize],
    ) -> Result<Vec<Vec<ArrayRef>>> {
        let key = |block: usize, column: usize| ColumnOfBlock { file: file.number, block, column };
        let cached = |block: usize| -> Option<Vec<ArrayRef>> {
            columns.iter().map(|column| self.columns.get(&key(block, *column))).collect()
        };
        let found: Vec<Option<Vec<ArrayRef>>> = blocks.iter().map(|block| cached(*block)).collect();
        let missing = blocks.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(block, _)| *block);
        let missing: Vec<usize> = missing.collect();
        let mut read = file.read(&missing, columns).await?.into_iter();
        for (block, arrays) in missing.iter().zip(read.as_slice()) {
            for (column, array) in columns.iter().zip(arrays) {
                self.columns.insert(key(*block, *column), Arc::clone(array));
            }
        }
        let complete: Option<Vec<_>> = found.into_iter().map(|found| found.or_else(|| read.next())).collect();
        complete.ok_or_else(|| Error::new(ErrorKind::Internal, "a block was read in part"))
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

/// What it takes to open a data file.
pub(crate) struct FilePlace<'a> {
    pub store: &'a Arc<dyn ObjectStore>,
    /// Path within the store.
    pub path: Path,
    pub file: &'a LiveFile,
    /// The table's columns.
    pub schema: &'a SchemaRef,
    pub block_rows: usize,
}

/// A data file as blocks.
pub(crate) struct BlockFile {
    /// A number that no other open file has.
    number: u64,
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    rows: usize,
    block_rows: usize,
    /// The key of each block's first row, once somebody looked for one; only of a file that is sorted by its key.
    first_keys: OnceCell<Rows>,
}

impl BlockFile {
    async fn open(place: &FilePlace<'_>) -> Result<Self> {
        let size = place.file.size();
        let mut reader = FileReader { store: Arc::clone(place.store), path: place.path.clone(), size };
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await.map_err(unreadable)?;
        let rows = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        Ok(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            store: Arc::clone(place.store),
            path: place.path.clone(),
            size,
            metadata,
            schema: Arc::clone(place.schema),
            rows,
            block_rows: place.block_rows.max(1),
            first_keys: OnceCell::new(),
        })
    }

    /// The block that has a row of the file, and the row's place in it.
    pub(crate) fn block_of(&self, row: usize) -> (usize, usize) {
        (row / self.block_rows, row % self.block_rows)
    }

    /// The blocks that can hold rows whose key (the columns at the places `key`, by which the file is sorted) begins
    /// with `wanted`.
    pub(crate) async fn blocks(&self, key: &[usize], wanted: Row<'_>) -> Result<Range<usize>> {
        let first_keys = self.first_keys.get_or_try_init(|| self.read_first_keys(key)).await?;
        let first = |block: usize| first_keys.row(block);
        let blocks = first_keys.num_rows();
        let prefix = wanted.as_ref();
        let begin = partition_point(blocks, |block| first(block).as_ref() < prefix);
        let end = partition_point(blocks, |block| {
            let first = first(block);
            first.as_ref() < prefix || first.as_ref().starts_with(prefix)
        });
        Ok(begin.saturating_sub(1)..end)
    }

    async fn read_first_keys(&self, key: &[usize]) -> Result<Rows> {
        let converter = key_converter(&self.schema, key)?;
        let mut keys = converter.empty_rows(self.rows.div_ceil(self.block_rows), 0);
        let mut stream = self.stream(key, None).await?;
        let mut at = 0;
        while let Some(batch) = stream.try_next().await.map_err(unreadable)? {
            let next = at + batch.num_rows();
            let starts = (at.next_multiple_of(self.block_rows)..next).step_by(self.block_rows);
            let starts: UInt64Array = starts.map(|row| (row - at) as u64).collect();
            let firsts = take_record_batch(&batch, &starts).map_err(internal)?;
            let columns = self.arranged(&firsts, key)?;
            converter.append(&mut keys, &columns).map_err(internal)?;
            at = next;
        }
        Ok(keys)
    }

    /// The columns `columns` of each of `blocks`, which ascend.
    async fn read(&self, blocks: &[usize], columns: &[usize]) -> Result<Vec<Vec<ArrayRef>>> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let lengths: Vec<usize> = blocks.iter().map(|block| self.rows_of(*block)).collect();
        let mut selectors = Vec::with_capacity(blocks.len() * 2);
        let mut at = 0;
        for (block, length) in blocks.iter().zip(&lengths) {
            let from = block * self.block_rows;
            selectors.extend([RowSelector::skip(from - at), RowSelector::select(*length)]);
            at = from + length;
        }
        let stream = self.stream(columns, Some(RowSelection::from(selectors))).await?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(unreadable)?;
        let all = self.arranged(&concat_batches(&schema, &batches).map_err(internal)?, columns)?;
        let mut from = 0;
        let cut = lengths.iter().map(|length| {
            let part = all.iter().map(|column| owned(&column.slice(from, *length))).collect();
            from += length;
            part
        });
        cut.collect()
    }

    fn rows_of(&self, block: usize) -> usize {
        self.block_rows.min(self.rows.saturating_sub(block * self.block_rows))
    }

    async fn stream(
        &self,
        columns: &[usize],
        selection: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchStream<FileReader>> {
        let names: Vec<&String> = self.schema.fields().iter().map(|field| field.name()).collect();
        let wanted: Vec<usize> =
            columns.iter().filter_map(|column| self.metadata.schema().index_of(names.get(*column)?).ok()).collect();
        let reader = FileReader { store: Arc::clone(&self.store), path: self.path.clone(), size: self.size };
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone())
            .with_batch_size(self.block_rows.max(8192));
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        builder = builder.with_projection(mask);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        builder.build().map_err(unreadable)
    }

    /// Columns of `batch` in the order and types that the table has them; those the file lacks are null.
    fn arranged(&self, batch: &RecordBatch, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let arrange = |column: &usize| {
            let field = self.schema.fields().get(*column).ok_or_else(|| internal("a column is out of range"))?;
            match batch.column_by_name(field.name()) {
                Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
                Some(array) => cast(array, field.data_type()).map_err(internal),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        };
        columns.iter().map(arrange).collect()
    }
}

impl fmt::Debug for BlockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockFile").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// A copy of a window on an array, which keeps neither the rest of it in memory nor the reader's spare room.
fn owned(window: &ArrayRef) -> Result<ArrayRef> {
    let all = UInt64Array::from_iter_values(0..window.len() as u64);
    arrow::compute::take(window, &all, None).map_err(internal)
}

/// Reads ranges of a file in a store.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(external).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let indexed = options.map_or(PageIndexPolicy::Skip, |_| PageIndexPolicy::Optional);
        let size = self.size;
        let reader =
            ParquetMetaDataReader::new().with_page_index_policy(indexed).with_prefetch_hint(Some(FOOTER_BYTES));
        async move { reader.load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Turns values of the columns `key` of `schema` into bytes that compare as the files are sorted.
pub(crate) fn key_converter(schema: &Schema, key: &[usize]) -> Result<RowConverter> {
    let ascending = SortOptions { descending: false, nulls_first: false };
    let fields = key
        .iter()
        .filter_map(|column| schema.fields().get(*column))
        .map(|field| SortField::new_with_options(field.data_type().clone(), ascending))
        .collect();
    RowConverter::new(fields).map_err(internal)
}

/// The first of `count` for which `before` is false; it is true for all before that.
pub(crate) fn partition_point(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn unreadable(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<object_store::Error>() {
            Ok(store) => super::failure::store_error(*store),
            Err(other) => Error::new(ErrorKind::Io, other.to_string()),
        },
        other => Error::new(ErrorKind::Corrupt, format!("a data file cannot be read: {other}"))
            .with_hint("latentdb check says which files are damaged"),
    }
}

fn internal(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

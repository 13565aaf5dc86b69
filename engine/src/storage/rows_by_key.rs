//! Rows by key: the rows of a sorted table whose key begins with given values.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::Schema;
use arrow::row::{Row, Rows};
use datafusion::common::ScalarValue;
use futures::future::try_join_all;

use super::blocks::{Block, BlockCache, BlockFile, FilePlace, key_converter, partition_point};
use super::files::LiveFile;
use super::scan::{ScanTarget, compare_keys};
use crate::{Error, ErrorKind, Result};

/// Rows that were found, and for each the place of its key among those asked for.
#[derive(Debug)]
pub(crate) struct Found {
    pub rows: RecordBatch,
    pub keys: Vec<usize>,
}

/// Rows that are copied without giving way first.
const FEW_ROWS: usize = 256;

/// A run of rows in a block.
struct Run {
    key: usize,
    block: usize,
    rows: std::ops::Range<usize>,
}

/// The rows of `target` whose first key columns equal a row of `wanted` (one array for each of those columns, of
/// the column's type), as the columns `columns` of its schema; grouped by key, in no promised order within one.
/// `None` if a file is not sorted by the table's key.
pub(crate) async fn rows_by_key(
    cache: &BlockCache,
    target: &ScanTarget,
    block_rows: usize,
    columns: &[usize],
    wanted: &[ArrayRef],
) -> Result<Option<Found>> {
    let Some(key) = key_places(target) else { return Ok(None) };
    if target.files.iter().any(|file| !file.is_sorted_by(&target.sort_key)) {
        return Ok(None);
    }
    let prefix = key.get(..wanted.len()).unwrap_or_default();
    let wanted_rows = key_converter(&target.schema, prefix)?.convert_columns(wanted).map_err(internal)?;
    let range = value_range(wanted, &wanted_rows)?;
    let files = target.files.iter().filter(|file| may_hold(file, prefix, range.as_ref()));
    let opened = files.map(|file| {
        let place = FilePlace {
            store: target.location.store(),
            path: target.path_of(file),
            file,
            schema: &target.schema,
            block_rows,
        };
        async move { cache.file(&place).await }
    });
    let opened = try_join_all(opened).await?;
    let (blocks, runs) = find(cache, &opened, (&key, prefix), columns, &wanted_rows).await?;
    if runs.iter().map(|run| run.rows.len()).sum::<usize>() > FEW_ROWS {
        // Copying many rows is no work for whoever polls a look-up to see whether it is quick.
        tokio::task::yield_now().await;
    }
    Ok(Some(gather(target, columns, &blocks, &runs)?))
}

/// Places of the sort key's columns in the schema; `None` for a table without one.
fn key_places(target: &ScanTarget) -> Option<Vec<usize>> {
    let places: Option<Vec<usize>> = target.sort_key.iter().map(|name| target.schema.index_of(name).ok()).collect();
    places.filter(|places| !places.is_empty())
}

/// The least and the greatest of the keys.
fn value_range(wanted: &[ArrayRef], rows: &Rows) -> Result<Option<(Vec<ScalarValue>, Vec<ScalarValue>)>> {
    let ordered = |a: &usize, b: &usize| rows.row(*a).cmp(&rows.row(*b));
    let (least, greatest) = ((0..rows.num_rows()).min_by(ordered), (0..rows.num_rows()).max_by(ordered));
    let values = |row: usize| -> Result<Vec<ScalarValue>> {
        wanted.iter().map(|column| Ok(ScalarValue::try_from_array(column, row)?)).collect()
    };
    match (least, greatest) {
        (Some(least), Some(greatest)) => Ok(Some((values(least)?, values(greatest)?))),
        _ => Ok(None),
    }
}

/// Whether a file's bounds leave room for any of the keys.
fn may_hold(file: &LiveFile, prefix: &[usize], range: Option<&(Vec<ScalarValue>, Vec<ScalarValue>)>) -> bool {
    let Some((least, greatest)) = range else { return false };
    match file.key_range(prefix) {
        Some((low, high)) => {
            compare_keys(greatest, &low) != Ordering::Less && compare_keys(&high, least) != Ordering::Less
        }
        None => true,
    }
}

async fn find(
    cache: &BlockCache,
    files: &[Arc<BlockFile>],
    (key, prefix): (&[usize], &[usize]),
    columns: &[usize],
    wanted: &Rows,
) -> Result<(Vec<Block>, Vec<Run>)> {
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    let mut looks: Vec<(usize, usize)> = Vec::new();
    for (number, row) in wanted.iter().enumerate() {
        for (file_number, file) in files.iter().enumerate() {
            for block in file.blocks(key, row).await? {
                let next = places.len();
                let place = *places.entry((file_number, block)).or_insert(next);
                looks.push((number, place));
            }
        }
    }
    let blocks = read_blocks(cache, files, prefix, columns, &places).await?;
    let runs = looks.into_iter().filter_map(|(key, place)| {
        let rows = equal_rows(&blocks.get(place)?.keys, wanted.row(key));
        (!rows.is_empty()).then_some(Run { key, block: place, rows })
    });
    let runs = runs.collect();
    Ok((blocks, runs))
}

/// Reads the blocks (by file and number) that `places` gives a place, into those places.
async fn read_blocks(
    cache: &BlockCache,
    files: &[Arc<BlockFile>],
    prefix: &[usize],
    columns: &[usize],
    places: &HashMap<(usize, usize), usize>,
) -> Result<Vec<Block>> {
    let mut of_file: Vec<Vec<usize>> = vec![Vec::new(); files.len()];
    for (number, block) in places.keys() {
        if let Some(blocks) = of_file.get_mut(*number) {
            blocks.push(*block);
        }
    }
    let read = files.iter().zip(&mut of_file).map(|(file, blocks)| {
        blocks.sort_unstable();
        cache.blocks(file, blocks, prefix, columns)
    });
    let read = try_join_all(read).await?;
    let mut placed: Vec<Option<Block>> = std::iter::repeat_with(|| None).take(places.len()).collect();
    for (number, (blocks, read)) in of_file.iter().zip(read).enumerate() {
        for (block, read) in blocks.iter().zip(read) {
            let slot = places.get(&(number, *block)).and_then(|place| placed.get_mut(*place));
            *slot.ok_or_else(|| internal("a block has no place"))? = Some(read);
        }
    }
    placed.into_iter().map(|block| block.ok_or_else(|| internal("a block was not read"))).collect()
}

/// The rows of a sorted block that equal `key`.
fn equal_rows(keys: &Rows, key: Row<'_>) -> std::ops::Range<usize> {
    let begin = partition_point(keys.num_rows(), |row| keys.row(row) < key);
    let end = partition_point(keys.num_rows(), |row| keys.row(row) <= key);
    begin..end
}

fn gather(target: &ScanTarget, columns: &[usize], blocks: &[Block], runs: &[Run]) -> Result<Found> {
    let schema = Arc::new(target.schema.project(columns).map_err(internal)?);
    let keys = runs.iter().flat_map(|run| run.rows.clone().map(|_| run.key)).collect::<Vec<_>>();
    let arrays = match runs {
        [] => return Ok(Found { rows: RecordBatch::new_empty(schema), keys }),
        // One run, as for a single key, is a window on its block: nothing is copied.
        [run] => {
            let block = blocks.get(run.block).ok_or_else(|| internal("a block went missing"))?;
            block.columns.iter().map(|column| column.slice(run.rows.start, run.rows.len())).collect()
        }
        runs => {
            let places: Vec<(usize, usize)> =
                runs.iter().flat_map(|run| run.rows.clone().map(|row| (run.block, row))).collect();
            let column = |index: usize| {
                let parts = blocks.iter().filter_map(|block| block.columns.get(index)).map(AsRef::as_ref);
                interleave(&parts.collect::<Vec<_>>(), &places).map_err(internal)
            };
            (0..columns.len()).map(column).collect::<Result<Vec<ArrayRef>>>()?
        }
    };
    Ok(Found { rows: batch(schema, arrays, keys.len())?, keys })
}

fn batch(schema: Arc<Schema>, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

//! Rows by place: the rows of a table's data files by their numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::interleave;
use futures::future::try_join_all;

use super::blocks::{BlockCache, BlockFile, FilePlace};
use super::scan::ScanTarget;
use crate::{Error, ErrorKind, Result};

/// Where a row is: the place of its file among those of a scan, and its number there.
pub(crate) type Place = (usize, u32);

/// The rows of `target` at `places`, in their order, as the columns `columns` of its schema.
pub(crate) async fn rows_at(
    cache: &BlockCache,
    target: &ScanTarget,
    block_rows: usize,
    columns: &[usize],
    places: &[Place],
) -> Result<RecordBatch> {
    let files = open(cache, target, block_rows, places).await?;
    let mut located = Vec::with_capacity(places.len());
    let mut blocks: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (file, row) in places {
        let (block, within) = files.get(file).ok_or_else(lost)?.block_of(*row as usize);
        blocks.entry(*file).or_default().insert(block);
        located.push((*file, block, within));
    }
    let read = blocks.iter().map(|(number, blocks)| {
        let (file, blocks) = (files.get(number), blocks.iter().copied().collect::<Vec<_>>());
        async move {
            let read = cache.columns(file.ok_or_else(lost)?, &blocks, columns).await?;
            Ok::<_, Error>(blocks.into_iter().map(|block| (*number, block)).zip(read).collect::<Vec<_>>())
        }
    });
    let read: Vec<((usize, usize), Vec<ArrayRef>)> = try_join_all(read).await?.into_iter().flatten().collect();
    let slots: HashMap<(usize, usize), usize> =
        read.iter().enumerate().map(|(slot, (block, _))| (*block, slot)).collect();
    let rows = located
        .into_iter()
        .map(|(file, block, within)| Some((*slots.get(&(file, block))?, within)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(lost)?;
    let column = |index: usize| {
        let parts: Option<Vec<_>> = read.iter().map(|(_, columns)| columns.get(index).map(AsRef::as_ref)).collect();
        interleave(&parts.ok_or_else(lost)?, &rows).map_err(internal)
    };
    let schema = Arc::new(target.schema.project(columns).map_err(internal)?);
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(schema));
    }
    let arrays = (0..columns.len()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(internal)
}

/// The files that have rows at `places`, by their place in `target`.
async fn open(
    cache: &BlockCache,
    target: &ScanTarget,
    block_rows: usize,
    places: &[Place],
) -> Result<HashMap<usize, Arc<BlockFile>>> {
    let wanted: BTreeSet<usize> = places.iter().map(|(file, _)| *file).collect();
    let opened = wanted.into_iter().map(|number| async move {
        let file = target.files.get(number).ok_or_else(lost)?;
        let (store, path) = (target.location.store(), target.path_of(file));
        let place = FilePlace { store, path, file, schema: &target.schema, block_rows };
        Ok::<_, Error>((number, cache.file(&place).await?))
    });
    Ok(try_join_all(opened).await?.into_iter().collect())
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a row's file went missing")
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

//! Writing data files: sorted by the table's key, with the statistics and page layout that scans prune by.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{SortColumn, SortOptions, cast, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_plan::SendableRecordBatchStream;
use deltalake_core::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake_core::kernel::Add;
use deltalake_core::operations::get_num_idx_cols_and_stats_columns;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use super::failure::{delta_error, store_error};
use super::files::{CHECKSUM, SORTED_BY};
use super::table::{Table, TableSnapshot};
use crate::{Error, ErrorKind, Result};

/// Files are closed at about this size: big enough to scan well, small enough to rewrite.
pub(crate) const TARGET_FILE_BYTES: u64 = 256 << 20;
/// Rows of a row group: half a million keeps the memory of a writer bounded.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// Bytes of a page of vectors, of which a search reads a few here and there.
const VECTOR_PAGE_BYTES: usize = 64 << 10;

/// Writes `batches` as one file (none if there are no rows), sorted by the table's sort key.
pub(crate) async fn write_rows(table: &Table, batches: Vec<RecordBatch>) -> Result<Vec<Add>> {
    let snapshot = table.snapshot();
    let batches = batches
        .into_iter()
        .filter(|batch| batch.num_rows() > 0)
        .map(|batch| conform(&batch, &snapshot.schema, &table.name))
        .collect::<Result<Vec<_>>>()?;
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let rows = concat_batches(&snapshot.schema, &batches)
        .and_then(|rows| sort_rows(&rows, &snapshot.sort_key))
        .map_err(|error| Error::new(ErrorKind::Resources, format!("rows for \"{}\": {error}", table.name)))?;
    let mut writer = open_writer(table, &snapshot);
    writer.write(&rows).await.map_err(delta_error)?;
    let adds = writer.close().await.map_err(delta_error)?;
    seal(table, &snapshot, adds, !snapshot.sort_key.is_empty()).await
}

/// Writes a stream that is sorted by the table's sort key (if it has one) as files of full size.
/// Answers the files and the number of rows.
pub(crate) async fn write_sorted_stream(
    table: &Table,
    mut stream: SendableRecordBatchStream,
) -> Result<(Vec<Add>, u64)> {
    let snapshot = table.snapshot();
    let mut writer = open_writer(table, &snapshot);
    let mut rows = 0;
    loop {
        match stream.try_next().await {
            Ok(Some(batch)) if batch.num_rows() == 0 => {}
            Ok(Some(batch)) => {
                rows += batch.num_rows() as u64;
                let batch = match conform(&batch, &snapshot.schema, &table.name) {
                    Ok(batch) => batch,
                    Err(error) => return abandon(writer, error).await,
                };
                if let Err(error) = writer.write(&batch).await {
                    return abandon(writer, delta_error(error)).await;
                }
            }
            Ok(None) => break,
            Err(error) => return abandon(writer, Error::from(error)).await,
        }
    }
    let adds = writer.close().await.map_err(delta_error)?;
    let adds = seal(table, &snapshot, adds, !snapshot.sort_key.is_empty()).await?;
    Ok((adds, rows))
}

/// Ends a write that failed: what was uploaded of it is taken back.
async fn abandon<T>(writer: DeltaWriter, error: Error) -> Result<T> {
    if let Err(abort) = writer.abort().await {
        tracing::warn!(%abort, "could not take back an unfinished data file; VACUUM will");
    }
    Err(error)
}

fn open_writer(table: &Table, snapshot: &TableSnapshot) -> DeltaWriter {
    let bounded = snapshot
        .schema
        .fields()
        .iter()
        .filter(|field| !field.data_type().is_nested())
        .map(|field| field.name().clone())
        .collect();
    let config = WriterConfig::new(
        Arc::clone(&snapshot.schema),
        Vec::new(),
        Some(properties(table, snapshot)),
        NonZeroU64::new(TARGET_FILE_BYTES),
        None,
        get_num_idx_cols_and_stats_columns(Some(snapshot.state.table_config()), HashMap::new()).0,
        Some(bounded),
    );
    DeltaWriter::new(table.log_store.object_store(None), config)
}

fn properties(table: &Table, snapshot: &TableSnapshot) -> WriterProperties {
    let TableSnapshot { schema, sort_key, .. } = snapshot;
    let (page_rows, dictionaries) = (table.page_rows(), table.dictionaries());
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows.min(1024))
        .set_statistics_enabled(EnabledStatistics::Page)
        // Whole strings: a cut bound could not answer min() and max().
        .set_statistics_truncate_length(None);
    let sorting: Option<Vec<SortingColumn>> = sort_key
        .iter()
        .map(|name| {
            let index = schema.index_of(name).ok()?;
            // Parquet numbers leaf columns; a list is one leaf here, so positions agree.
            Some(SortingColumn { column_idx: i32::try_from(index).ok()?, descending: false, nulls_first: false })
        })
        .collect();
    builder = builder.set_sorting_columns(sorting.filter(|columns| !columns.is_empty()));
    for field in schema.fields() {
        let name = field.name().as_str();
        match field.data_type() {
            // Positions rise within a row, so their differences are small.
            DataType::List(element) if *element.data_type() == DataType::Int32 && name == "positions" => {
                let path = ColumnPath::new(vec![name.to_owned(), "list".to_owned(), "element".to_owned()]);
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            DataType::List(element) if !dictionaries || table.holds_vectors(field) => {
                let path = ColumnPath::new(vec![name.to_owned(), "list".to_owned(), "element".to_owned()]);
                builder = builder.set_column_dictionary_enabled(path.clone(), false);
                if table.holds_vectors(field) {
                    builder = builder.set_column_data_page_size_limit(path.clone(), VECTOR_PAGE_BYTES);
                }
                if *element.data_type() == DataType::Float32 {
                    // Exponents beside exponents: they compress where whole floats do not.
                    builder = builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
                }
            }
            DataType::Float32 | DataType::Float64 if !dictionaries => {
                builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
            }
            DataType::Int64 if name == "context_id" => {
                // Hashes: a dictionary would only repeat them.
                builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
            }
            _ => {}
        }
    }
    builder.build()
}

/// Marks files with their checksum and order.
async fn seal(table: &Table, snapshot: &TableSnapshot, adds: Vec<Add>, sorted: bool) -> Result<Vec<Add>> {
    let store = table.log_store.object_store(None);
    let mut sealed = Vec::with_capacity(adds.len());
    for mut add in adds {
        let checksum = checksum(store.as_ref(), &add.path).await?;
        let tags = add.tags.get_or_insert_default();
        tags.insert(CHECKSUM.to_owned(), Some(checksum));
        if sorted {
            tags.insert(SORTED_BY.to_owned(), Some(snapshot.sort_key.join(",")));
        }
        sealed.push(add);
    }
    Ok(sealed)
}

/// xxh3-64 of a file's bytes, in hexadecimal.
pub(crate) async fn checksum(store: &dyn ObjectStore, path: &str) -> Result<String> {
    let bytes = store.get(&Path::from(path)).await.map_err(store_error)?.bytes().await.map_err(store_error)?;
    Ok(format!("{:016x}", xxh3_64(&bytes)))
}

/// Brings `batch` into `schema`: columns by name, missing ones null, values cast.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, table: &str) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
            Some(column) => cast(column, field.data_type()).map_err(|error| {
                Error::new(
                    ErrorKind::TypeMismatch,
                    format!("column \"{}\" of table \"{table}\": {error}", field.name()),
                )
            })?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::new(
                ErrorKind::Constraint,
                format!("null value in column \"{}\" of table \"{table}\"", field.name()),
            )
            .with_hint("the column is declared NOT NULL: give it a value"));
        }
        columns.push(column);
    }
    let known = batch.schema();
    if let Some(extra) = known.fields().iter().find(|field| schema.field_with_name(field.name()).is_err()) {
        return Err(Error::new(
            ErrorKind::UndefinedColumn,
            format!("column \"{}\" of table \"{table}\" does not exist", extra.name()),
        ));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("rows for \"{table}\": {error}")))
}

fn sort_rows(rows: &RecordBatch, sort_key: &[String]) -> arrow::error::Result<RecordBatch> {
    let columns: Vec<SortColumn> = sort_key
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|values| SortColumn {
            values: Arc::clone(values),
            options: Some(SortOptions { descending: false, nulls_first: false }),
        })
        .collect();
    if columns.is_empty() {
        return Ok(rows.clone());
    }
    let order = lexsort_to_indices(&columns, None)?;
    if is_identity(&order) {
        return Ok(rows.clone());
    }
    take_record_batch(rows, &order)
}

fn is_identity(order: &UInt32Array) -> bool {
    order.values().iter().enumerate().all(|(place, &row)| place as u64 == u64::from(row))
}

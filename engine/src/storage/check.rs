//! `latentdb check`: reads every table and every file, and says what is damaged.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use xxhash_rust::xxh3::xxh3_64;

use super::database::Database;
use super::files::{CHECKSUM, LiveFile};
use super::table::{Table, TableSnapshot};
use crate::{Error, ErrorKind, Result};

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub struct Damage {
    /// Table it was found in.
    pub table: String,
    /// File it was found in, if it is one file's.
    pub file: Option<String>,
    /// What is wrong.
    pub problem: String,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// Tables read.
    pub tables: usize,
    /// Data files read.
    pub files: usize,
    /// Rows read.
    pub rows: u64,
    /// What is damaged; empty if all is well.
    pub damages: Vec<Damage>,
}

impl Database {
    /// Reads every live file of every table: its size and checksum, each page of it, the number of its
    /// rows and their order. `progress` is told the file that comes next and how many there are.
    pub(crate) async fn check(&self, progress: &(dyn Fn(&str, usize, usize) + Send + Sync)) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let tables = self.table_list();
        let total: usize = tables.iter().map(|table| table.snapshot().files.len()).sum();
        for table in tables {
            report.tables += 1;
            let snapshot = table.snapshot();
            for file in &snapshot.files {
                progress(&format!("{}/{}", table.name, file.path()), report.files, total);
                report.files += 1;
                match check_file(&table, &snapshot, file).await {
                    Ok(rows) => report.rows += rows,
                    Err(error) => report.damages.push(Damage {
                        table: table.name.clone(),
                        file: Some(file.path().to_owned()),
                        problem: error.message().to_owned(),
                    }),
                }
            }
        }
        Ok(report)
    }
}

async fn check_file(table: &Table, snapshot: &Arc<TableSnapshot>, file: &Arc<LiveFile>) -> Result<u64> {
    let store = table.log_store.object_store(None);
    let bytes = match store.get(&Path::from(file.path())).await {
        Ok(found) => found.bytes().await.map_err(super::failure::store_error)?,
        Err(object_store::Error::NotFound { .. }) => return Err(damaged("the file is missing")),
        Err(error) => return Err(super::failure::store_error(error)),
    };
    let (snapshot, file) = (Arc::clone(snapshot), Arc::clone(file));
    tokio::task::spawn_blocking(move || check_bytes(&snapshot, &file, bytes))
        .await
        .map_err(|error| damaged(format!("reading the file failed: {error}")))?
}

fn check_bytes(snapshot: &TableSnapshot, file: &LiveFile, bytes: Bytes) -> Result<u64> {
    if bytes.len() as u64 != file.size() {
        return Err(damaged(format!("the file has {} bytes, the log says {}", bytes.len(), file.size())));
    }
    let checksum = format!("{:016x}", xxh3_64(&bytes));
    if let Some(expected) = file.tag(CHECKSUM).filter(|expected| *expected != checksum) {
        return Err(damaged(format!("the checksum is {checksum}, the log says {expected}")));
    }
    let unreadable = |error: &dyn std::fmt::Display| damaged(format!("the file cannot be read: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| unreadable(&error))?;
    let mut order = file.is_sorted_by(&snapshot.sort_key).then(|| OrderCheck::new(&snapshot.sort_key));
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        rows += batch.num_rows() as u64;
        if let Some(order) = &mut order {
            let key: Option<Vec<ArrayRef>> =
                snapshot.sort_key.iter().map(|name| batch.column_by_name(name).cloned()).collect();
            order.next(&key.ok_or_else(|| damaged("a column of the sort key is missing"))?)?;
        }
    }
    match file.rows {
        Some(expected) if expected != rows => {
            Err(damaged(format!("the file has {rows} rows, the log says {expected}")))
        }
        _ => Ok(rows),
    }
}

/// Checks that rows come in ascending order of a key, across batches.
struct OrderCheck {
    key: Vec<String>,
    converter: Option<RowConverter>,
    last: Option<Vec<u8>>,
}

impl OrderCheck {
    fn new(key: &[String]) -> Self {
        Self { key: key.to_vec(), converter: None, last: None }
    }

    fn next(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let failed = |error: arrow::error::ArrowError| damaged(format!("the order cannot be checked: {error}"));
        let ascending = SortOptions { descending: false, nulls_first: false };
        if self.converter.is_none() {
            let fields = columns
                .iter()
                .map(|column| SortField::new_with_options(column.data_type().clone(), ascending))
                .collect();
            self.converter = Some(RowConverter::new(fields).map_err(failed)?);
        }
        let Some(converter) = self.converter.as_mut() else { return Ok(()) };
        let rows = converter.convert_columns(columns).map_err(failed)?;
        for row in rows.iter() {
            if self.last.as_deref().is_some_and(|last| last > row.as_ref()) {
                return Err(damaged(format!("rows are not sorted by {}", self.key.join(", "))));
            }
            self.last = Some(row.as_ref().to_vec());
        }
        Ok(())
    }
}

fn damaged(problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, problem)
}

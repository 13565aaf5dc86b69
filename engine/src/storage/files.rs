//! Live data files and what is known of them without opening them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use deltalake_core::kernel::{Add, Remove};
use serde_json::Value;

use super::failure::delta_error;
use crate::{Error, ErrorKind, Result};

/// Tag on a data file: it is sorted by these columns (comma-separated).
pub(crate) const SORTED_BY: &str = "latentdb.sortedBy";
/// Tag on a data file: xxh3-64 of its bytes, in hexadecimal.
pub(crate) const CHECKSUM: &str = "latentdb.xxh3";

/// A data file of a table.
#[derive(Debug)]
pub(crate) struct LiveFile {
    /// The Delta action that added it.
    pub add: Add,
    /// Rows; `None` if the writer (not us) did not say.
    pub rows: Option<u64>,
    /// Bounds of each column, for leaving files out. Exact in the sense that no value lies outside.
    pub bounds: Arc<Statistics>,
    /// The same, as the planner may use it: float bounds are only estimates, because they ignore NaN.
    pub statistics: Arc<Statistics>,
}

impl LiveFile {
    /// Reads the statistics of `add`, whose columns are those of `schema`.
    pub(crate) fn new(add: Add, schema: &SchemaRef) -> Result<Self> {
        if add.deletion_vector.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, format!("file {} has a deletion vector", add.path))
                .with_hint("rewrite the table without deletion vectors (Spark: REORG TABLE … APPLY (PURGE))"));
        }
        let stats: Value = match add.stats.as_deref() {
            Some(text) => serde_json::from_str(text).map_err(|error| {
                Error::new(ErrorKind::Corrupt, format!("statistics of file {} are damaged: {error}", add.path))
            })?,
            None => Value::Null,
        };
        let rows = stats.get("numRecords").and_then(Value::as_u64);
        let bounds = statistics(&stats, rows, add.size, schema, true);
        let statistics = statistics(&stats, rows, add.size, schema, false);
        Ok(Self { add, rows, bounds: Arc::new(bounds), statistics: Arc::new(statistics) })
    }

    /// Path relative to the table.
    pub(crate) fn path(&self) -> &str {
        &self.add.path
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.add.size).unwrap_or(0)
    }

    /// Value of a tag we wrote.
    pub(crate) fn tag(&self, name: &str) -> Option<&str> {
        self.add.tags.as_ref()?.get(name)?.as_deref()
    }

    /// Whether the file's rows are sorted by `columns`.
    pub(crate) fn is_sorted_by(&self, columns: &[String]) -> bool {
        !columns.is_empty() && self.tag(SORTED_BY).is_some_and(|sorted| sorted == columns.join(","))
    }

    /// The action that takes the file out of the table.
    pub(crate) fn remove(&self, data_change: bool) -> Remove {
        Remove {
            path: self.add.path.clone(),
            data_change,
            deletion_timestamp: Some(chrono::Utc::now().timestamp_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(self.add.partition_values.clone()),
            size: Some(self.add.size),
            tags: self.add.tags.clone(),
            ..Remove::default()
        }
    }

    /// Smallest values of `columns`, and largest; `None` where they are not known or null occurs.
    pub(crate) fn key_range(&self, columns: &[usize]) -> Option<(Vec<ScalarValue>, Vec<ScalarValue>)> {
        let mut low = Vec::with_capacity(columns.len());
        let mut high = Vec::with_capacity(columns.len());
        for &column in columns {
            let bounds = self.bounds.column_statistics.get(column)?;
            if bounds.null_count.get_value().is_none_or(|nulls| *nulls > 0) {
                return None;
            }
            low.push(bounds.min_value.get_value()?.clone());
            high.push(bounds.max_value.get_value()?.clone());
        }
        Some((low, high))
    }
}

/// Live files by path.
pub(crate) type FileMap = HashMap<String, Arc<LiveFile>>;

/// All live files of a Delta state, reusing what `known` has read already.
pub(crate) fn live_files(
    state: &deltalake_core::table::state::DeltaTableState,
    schema: &SchemaRef,
    known: &[Arc<LiveFile>],
) -> Result<Vec<Arc<LiveFile>>> {
    let known: HashMap<&str, &Arc<LiveFile>> = known.iter().map(|file| (file.path(), file)).collect();
    let handler = state.snapshot().try_log_data().map_err(delta_error)?;
    let mut files = Vec::with_capacity(handler.num_files());
    for view in handler.iter() {
        if let Some(file) = known.get(view.path().as_ref()) {
            files.push(Arc::clone(file));
            continue;
        }
        #[expect(deprecated, reason = "the only public way from a log entry to its tags")]
        let add = view.add_action();
        files.push(Arc::new(LiveFile::new(add, schema)?));
    }
    Ok(files)
}

fn statistics(stats: &Value, rows: Option<u64>, bytes: i64, schema: &SchemaRef, as_bounds: bool) -> Statistics {
    let rows = rows.and_then(|rows| usize::try_from(rows).ok());
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let is_float = matches!(field.data_type(), DataType::Float32 | DataType::Float64);
            let value = |kind: &str| {
                let value = stats.get(kind).and_then(|values| values.get(field.name()));
                match value.and_then(|value| scalar(value, field.data_type())) {
                    Some(value) if is_float && !as_bounds => Precision::Inexact(value),
                    Some(value) => Precision::Exact(value),
                    None => Precision::Absent,
                }
            };
            let nulls = stats
                .get("nullCount")
                .and_then(|counts| counts.get(field.name()))
                .and_then(Value::as_u64)
                .and_then(|count| usize::try_from(count).ok());
            ColumnStatistics {
                null_count: nulls.map_or(Precision::Absent, Precision::Exact),
                min_value: value("minValues"),
                max_value: value("maxValues"),
                ..ColumnStatistics::new_unknown()
            }
        })
        .collect();
    Statistics {
        num_rows: rows.map_or(Precision::Absent, Precision::Exact),
        total_byte_size: usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact),
        column_statistics: columns,
    }
}

/// A bound from the log's JSON. Types whose JSON form could lose a value's exact order give none.
fn scalar(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Boolean => value.as_bool().map(|v| ScalarValue::Boolean(Some(v))),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ScalarValue::Int64(Some(value.as_i64()?)).cast_to(data_type).ok()
        }
        // Widened by one step each way nothing would be gained: the log prints f32 exactly.
        #[expect(clippy::cast_possible_truncation, reason = "the value was an f32 when it was written")]
        DataType::Float32 => value.as_f64().map(|v| ScalarValue::Float32(Some(v as f32))),
        DataType::Float64 => value.as_f64().map(|v| ScalarValue::Float64(Some(v))),
        DataType::Utf8 => value.as_str().map(|v| ScalarValue::Utf8(Some(v.to_owned()))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            // Milliseconds is all that Delta keeps: a bound may be cut by up to one.
            let _ = zone;
            None
        }
        _ => None,
    }
}

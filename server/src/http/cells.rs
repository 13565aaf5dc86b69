//! Cells of small results.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

/// The text in a cell of a string column; `None` for null, another type, or a cell that is not there.
pub(super) fn text_at(batch: &RecordBatch, column: usize, row: usize) -> Option<&str> {
    let array = batch.columns().get(column)?;
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

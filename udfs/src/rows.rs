//! Lists of rows: what a function that gives rows answers for each row of arguments.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use latentdb_engine::{Error, ErrorKind, Result};

use crate::arguments::internal;

/// The fields of rows, all of which may be null.
pub(crate) fn fields(columns: &[(&str, DataType)]) -> Fields {
    columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
}

/// The type of records of `columns`, all of which may be null.
pub(crate) fn record_of(columns: &[(String, DataType)]) -> DataType {
    DataType::Struct(columns.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect())
}

/// Records: one for each row of `arrays`.
pub(crate) fn records(columns: Vec<(String, DataType)>, arrays: Vec<ArrayRef>) -> Result<ArrayRef> {
    let fields = columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Ok(Arc::new(StructArray::try_new(fields, arrays, None).map_err(internal)?))
}

/// A list of `element`.
pub(crate) fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// The type of lists of rows of `columns`.
pub(crate) fn rows_of(columns: &Fields) -> DataType {
    list_of(DataType::Struct(columns.clone()))
}

/// Lists of rows: `arrays` has the columns of all rows one after another, `lengths` the number of rows of each list.
pub(crate) fn lists(columns: Fields, arrays: Vec<ArrayRef>, lengths: Vec<usize>) -> Result<ArrayRef> {
    let rows = StructArray::try_new(columns, arrays, None).map_err(internal)?;
    let field = Arc::new(Field::new_list_field(rows.data_type().clone(), true));
    let total: usize = lengths.iter().sum();
    if total > i32::MAX as usize {
        return Err(Error::new(ErrorKind::Resources, "the answer has more than two thousand million rows")
            .with_hint("ask for fewer at a time"));
    }
    let list = ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(rows), None::<NullBuffer>);
    Ok(Arc::new(list.map_err(internal)?))
}

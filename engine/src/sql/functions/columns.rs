//! Reading the arguments of a function: lists and numbers, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field};
use datafusion::error::Result;

use crate::{Error, ErrorKind};

/// `data_type[]`.
pub(super) fn list_of(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(data_type, true)))
}

/// The argument at `index`, cast to `data_type` unless it has that type already.
pub(super) fn argument(arguments: &[ArrayRef], index: usize, data_type: &DataType) -> Result<ArrayRef> {
    let argument = arguments
        .get(index)
        .ok_or_else(|| Error::new(ErrorKind::UndefinedFunction, format!("argument {} is missing", index + 1)))?;
    if argument.data_type() == data_type { Ok(Arc::clone(argument)) } else { Ok(cast(argument, data_type)?) }
}

/// The list argument at `index`, with elements of `element`.
pub(super) fn list(arguments: &[ArrayRef], index: usize, element: DataType) -> Result<ListArray> {
    Ok(argument(arguments, index, &list_of(element))?.as_list::<i32>().clone())
}

/// The elements of a list in one row; none for a null list.
pub(super) fn elements<T: ArrowPrimitiveType>(list: &ListArray, row: usize) -> Vec<Option<T::Native>> {
    if list.is_null(row) { Vec::new() } else { list.value(row).as_primitive::<T>().iter().collect() }
}

/// The texts of a list in one row; none for a null list.
pub(super) fn texts(list: &ListArray, row: usize) -> Vec<Option<String>> {
    if list.is_null(row) {
        return Vec::new();
    }
    list.value(row).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

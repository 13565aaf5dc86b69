//! Vectors and texts of columns, row by row.

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, ListArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};

use crate::{Error, ErrorKind, Result};

/// A column of vectors.
pub(crate) struct Vectors {
    lists: ListArray,
    values: Float32Array,
}

impl Vectors {
    /// Reads `column`: lists of numbers.
    pub(crate) fn new(column: &ArrayRef) -> Result<Self> {
        let wanted = DataType::new_list(DataType::Float32, true);
        let unfit = || Error::new(ErrorKind::TypeMismatch, format!("{} is no vector", column.data_type()));
        if !matches!(column.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) {
            return Err(unfit());
        }
        let lists = cast(column, &wanted).map_err(|_| unfit())?;
        let lists = lists.as_list_opt::<i32>().ok_or_else(unfit)?.clone();
        let values = lists.values().as_primitive_opt::<Float32Type>().ok_or_else(unfit)?.clone();
        Ok(Self { lists, values })
    }

    /// The vector of a row; none where there is none, or one with holes.
    pub(crate) fn get(&self, row: usize) -> Option<&[f32]> {
        if row >= self.lists.len() || self.lists.is_null(row) {
            return None;
        }
        let (start, end) = (*self.lists.offsets().get(row)? as usize, *self.lists.offsets().get(row + 1)? as usize);
        let has_holes = self.values.null_count() > 0 && (start..end).any(|at| self.values.is_null(at));
        if has_holes { None } else { self.values.values().get(start..end) }
    }
}

/// A column of texts; of lists of texts, one after the other.
pub(crate) enum Texts {
    Plain(StringArray),
    Lists(ListArray),
}

impl Texts {
    /// Reads `column`.
    pub(crate) fn new(column: &ArrayRef) -> Result<Self> {
        let unfit = || Error::new(ErrorKind::TypeMismatch, format!("{} is no text", column.data_type()));
        let is_list = matches!(column.data_type(), DataType::List(_) | DataType::LargeList(_));
        let wanted = if is_list { DataType::new_list(DataType::Utf8, true) } else { DataType::Utf8 };
        let column = cast(column, &wanted).map_err(|_| unfit())?;
        match is_list {
            true => Ok(Self::Lists(column.as_list_opt::<i32>().ok_or_else(unfit)?.clone())),
            false => Ok(Self::Plain(column.as_string_opt::<i32>().ok_or_else(unfit)?.clone())),
        }
    }

    /// The text of a row, if there is one.
    pub(crate) fn get(&self, row: usize) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Plain(texts) => texts.is_valid(row).then(|| texts.value(row).into()),
            Self::Lists(lists) => lists.is_valid(row).then(|| {
                let tokens = lists.value(row);
                tokens.as_string::<i32>().iter().flatten().collect::<String>().into()
            }),
        }
    }
}

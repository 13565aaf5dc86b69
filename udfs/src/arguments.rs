//! Arguments of a model call: columns of equal length, read by row.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use latentdb_engine::{Error, ErrorKind, Result};

/// The arguments of a call, by name.
#[derive(Debug)]
pub(crate) struct Arguments {
    function: &'static str,
    columns: Vec<(&'static str, ArrayRef)>,
    rows: usize,
}

impl Arguments {
    pub(crate) fn new(function: &'static str, names: Vec<&'static str>, columns: Vec<ArrayRef>) -> Self {
        let rows = columns.first().map_or(0, |column| column.len());
        Self { function, columns: names.into_iter().zip(columns).collect(), rows }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        let found = self.columns.iter().find(|(column, _)| *column == name).map(|(_, column)| column);
        found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("{} has no parameter {name}", self.function)))
    }

    fn present(&self, name: &str, row: usize) -> Result<Option<&ArrayRef>> {
        Ok(Some(self.column(name)?).filter(|column| row < column.len() && column.is_valid(row)))
    }

    /// A text that may be missing.
    pub(crate) fn text_or_none(&self, name: &str, row: usize) -> Result<Option<&str>> {
        let column = self.present(name, row)?.and_then(|column| column.as_string_opt::<i32>());
        Ok(column.map(|column| column.value(row)))
    }

    /// A text.
    pub(crate) fn text(&self, name: &str, row: usize) -> Result<&str> {
        self.text_or_none(name, row)?.ok_or_else(|| self.missing(name))
    }

    /// A truth value.
    pub(crate) fn flag(&self, name: &str, row: usize) -> Result<bool> {
        let column = self.present(name, row)?.and_then(|column| column.as_boolean_opt());
        column.map(|column| column.value(row)).ok_or_else(|| self.missing(name))
    }

    /// A whole number of 0 or more that may be missing.
    pub(crate) fn count_or_none(&self, name: &str, row: usize) -> Result<Option<usize>> {
        let column = self.present(name, row)?.and_then(|column| column.as_primitive_opt::<Int32Type>());
        let Some(value) = column.map(|column| column.value(row)) else { return Ok(None) };
        usize::try_from(value).map(Some).map_err(|_| {
            Error::new(ErrorKind::InvalidValue, format!("{}: {name} is {value}", self.function))
                .with_hint(format!("{name} counts from 0"))
        })
    }

    /// A whole number of 0 or more.
    pub(crate) fn count(&self, name: &str, row: usize) -> Result<usize> {
        self.count_or_none(name, row)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number.
    pub(crate) fn whole(&self, name: &str, row: usize) -> Result<i64> {
        let column = self.present(name, row)?.and_then(|column| column.as_primitive_opt::<Int64Type>());
        column.map(|column| column.value(row)).ok_or_else(|| self.missing(name))
    }

    /// Texts, if given.
    pub(crate) fn texts_or_none(&self, name: &str, row: usize) -> Result<Option<Vec<String>>> {
        let Some(list) = self.present(name, row)?.and_then(|column| column.as_list_opt::<i32>()) else {
            return Ok(None);
        };
        let elements = list.value(row);
        let texts = elements.as_string_opt::<i32>().ok_or_else(|| self.missing(name))?;
        Ok(Some(texts.iter().flatten().map(str::to_owned).collect()))
    }

    /// A number that may be missing.
    pub(crate) fn number_or_none(&self, name: &str, row: usize) -> Result<Option<f64>> {
        let column = self.present(name, row)?.and_then(|column| column.as_primitive_opt::<Float64Type>());
        Ok(column.map(|column| column.value(row)))
    }

    /// Whole numbers of 0 or more, if given.
    pub(crate) fn counts_or_none(&self, name: &str, row: usize) -> Result<Option<Vec<usize>>> {
        let Some(list) = self.present(name, row)?.and_then(|column| column.as_list_opt::<i32>()) else {
            return Ok(None);
        };
        let elements = list.value(row);
        let numbers = elements.as_primitive_opt::<Int32Type>().ok_or_else(|| self.missing(name))?;
        let counts = numbers.iter().map(|number| number.and_then(|number| usize::try_from(number).ok()));
        counts.collect::<Option<Vec<usize>>>().map(Some).ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, format!("{}: {name} holds a null or a number below 0", self.function))
        })
    }

    fn missing(&self, name: &str) -> Error {
        Error::new(ErrorKind::InvalidValue, format!("{} needs {name}", self.function))
    }

    /// The rows that agree in everything but the parameter `apart`, in order of their first: they ask the same of
    /// several texts, and are answered in one go.
    pub(crate) fn groups(&self, apart: &str) -> Result<Vec<Vec<usize>>> {
        let columns: Vec<ArrayRef> =
            self.columns.iter().filter(|(name, _)| *name != apart).map(|(_, column)| ArrayRef::clone(column)).collect();
        if columns.is_empty() {
            return Ok(vec![(0..self.rows).collect()]);
        }
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let keys =
            RowConverter::new(fields).and_then(|converter| converter.convert_columns(&columns)).map_err(internal)?;
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        for (row, key) in keys.iter().enumerate() {
            let group = *seen.entry(key.as_ref().to_vec()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(group) {
                group.push(row);
            }
        }
        Ok(groups)
    }
}

/// The engine's error for a failure of Arrow, which our own columns do not give cause for.
pub(crate) fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

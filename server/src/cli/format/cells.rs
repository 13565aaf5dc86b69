//! Single cells as text.

use std::fmt::Write;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::{Error, ErrorKind, Result};

use crate::json::{ValueWriter, encoder_options};

/// Options that live as long as the cells that use them.
pub(super) struct CellOptions {
    scalars: FormatOptions<'static>,
    nested: EncoderOptions,
}

impl CellOptions {
    pub(super) fn new() -> Self {
        let scalars = FormatOptions::new()
            .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"))
            .with_null("");
        Self { scalars, nested: encoder_options() }
    }
}

/// The cells of one column of one batch: scalars as Postgres prints them, lists and structs as JSON.
pub(super) struct Cells<'a> {
    array: &'a dyn Array,
    text: CellText<'a>,
}

enum CellText<'a> {
    Scalar(ArrayFormatter<'a>),
    Nested(ValueWriter<'a>),
}

impl<'a> Cells<'a> {
    /// The cells of every column of `batch`.
    pub(super) fn of(batch: &'a RecordBatch, options: &'a CellOptions) -> Result<Vec<Self>> {
        let fields = batch.schema_ref().fields();
        fields.iter().zip(batch.columns()).map(|(field, array)| Self::new(field, array.as_ref(), options)).collect()
    }

    fn new(field: &'a FieldRef, array: &'a dyn Array, options: &'a CellOptions) -> Result<Self> {
        let text = if is_nested(field.data_type()) {
            CellText::Nested(ValueWriter::new(field, array, &options.nested)?)
        } else {
            CellText::Scalar(
                ArrayFormatter::try_new(array, &options.scalars).map_err(|error| unprintable(field, &error))?,
            )
        };
        Ok(Self { array, text })
    }

    /// Appends the cell at `row`; answers whether it is null, for which nothing is appended.
    pub(super) fn write(&mut self, row: usize, out: &mut String) -> Result<bool> {
        if self.array.is_null(row) {
            return Ok(true);
        }
        match &mut self.text {
            CellText::Scalar(formatter) => write!(out, "{}", formatter.value(row))
                .map_err(|_| Error::new(ErrorKind::Internal, "a value could not be printed"))?,
            CellText::Nested(writer) => {
                let mut bytes = Vec::new();
                writer.write(row, &mut bytes);
                out.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        Ok(false)
    }
}

/// Whether the type's values have parts.
pub(super) fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_nested(value),
        other => other.is_nested(),
    }
}

/// Whether the type's values line up best on the right.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn unprintable(field: &Field, error: &arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("column \"{}\" cannot be printed: {error}", field.name()))
}

//! Between SQLite's values and Arrow's columns.
//!
//! SQLite keeps integers, reals and text. Booleans are 0 and 1, timestamps are text in UTC with six
//! decimals (so that text order is time order), lists are JSON text.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::types::{Value, ValueRef};

use crate::{Error, ErrorKind, Result};

/// Collects one column of rows read from SQLite.
enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Integers(ListBuilder<Int32Builder>),
    Reals(ListBuilder<Float32Builder>),
    Texts(ListBuilder<StringBuilder>),
}

impl ColumnBuilder {
    fn new(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Self::Integer(Int32Builder::new()),
            DataType::Int64 => Self::BigInt(Int64Builder::new()),
            DataType::Float32 => Self::Real(Float32Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::List(element) => match element.data_type() {
                DataType::Int32 => {
                    Self::Integers(ListBuilder::new(Int32Builder::new()).with_field(Arc::clone(element)))
                }
                DataType::Float32 => {
                    Self::Reals(ListBuilder::new(Float32Builder::new()).with_field(Arc::clone(element)))
                }
                DataType::Utf8 => Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(element))),
                _ => return Err(unknown_type(field)),
            },
            _ => return Err(unknown_type(field)),
        })
    }

    /// Appends a value; text that is not of the column's type is damage.
    fn append(&mut self, value: ValueRef<'_>) -> Result<()> {
        let text = |value: ValueRef<'_>| -> Result<Option<String>> {
            Ok(value.as_str_or_null().map_err(|error| damaged(&error))?.map(str::to_owned))
        };
        match self {
            Self::Boolean(builder) => builder.append_option(integer(value)?.map(|value| value != 0)),
            Self::Integer(builder) => {
                let value = integer(value)?.map(i32::try_from).transpose().map_err(|error| damaged(&error))?;
                builder.append_option(value);
            }
            Self::BigInt(builder) => builder.append_option(integer(value)?),
            Self::Real(builder) => builder.append_option(real(value)?.map(|value| value as f32)),
            Self::Double(builder) => builder.append_option(real(value)?),
            Self::Text(builder) => builder.append_option(text(value)?),
            Self::Timestamp(builder) => {
                let parsed = text(value)?
                    .map(|text| DateTime::parse_from_rfc3339(&text))
                    .transpose()
                    .map_err(|error| damaged(&error))?;
                builder.append_option(parsed.map(|time| time.timestamp_micros()));
            }
            Self::Integers(builder) => builder.append_option(list::<Option<i32>>(text(value)?)?),
            Self::Reals(builder) => builder.append_option(list::<Option<f32>>(text(value)?)?),
            Self::Texts(builder) => builder.append_option(list::<Option<String>>(text(value)?)?),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Integers(builder) => Arc::new(builder.finish()),
            Self::Reals(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Collects rows read from SQLite into batches.
pub(super) struct RowReader {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl RowReader {
    /// Rows of `schema`.
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let columns = schema.fields().iter().map(|field| ColumnBuilder::new(field)).collect::<Result<_>>()?;
        Ok(Self { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// Takes a row whose columns begin at `offset`.
    pub(super) fn push(&mut self, row: &rusqlite::Row<'_>, offset: usize) -> Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.append(row.get_ref(index + offset).map_err(|error| damaged(&error))?)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Rows taken since the last batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows taken so far, as a batch.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|error| damaged(&error))
    }
}

/// Columns of a batch as SQLite's values, each first cast to the type of its field in `schema`.
pub(super) fn to_sqlite(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<Vec<Value>>> {
    let mut rows = vec![Vec::with_capacity(schema.fields().len()); batch.num_rows()];
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let values = column_to_sqlite(column, field)?;
        for (row, value) in rows.iter_mut().zip(values) {
            row.push(value);
        }
    }
    Ok(rows)
}

/// One column as SQLite's values.
pub(super) fn column_to_sqlite(column: &ArrayRef, field: &Field) -> Result<Vec<Value>> {
    let column = cast(column, field.data_type())
        .map_err(|error| Error::new(ErrorKind::TypeMismatch, format!("column \"{}\": {error}", field.name())))?;
    (0..column.len()).map(|row| if column.is_null(row) { Ok(Value::Null) } else { cell(&column, row) }).collect()
}

fn cell(column: &ArrayRef, row: usize) -> Result<Value> {
    Ok(match column.data_type() {
        DataType::Boolean => Value::Integer(i64::from(column.as_boolean().value(row))),
        DataType::Int32 => Value::Integer(i64::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => Value::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Real(f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => Value::Real(column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            timestamp_text(column.as_primitive::<TimestampMicrosecondType>().value(row))?
        }
        DataType::List(element) => {
            let items = column.as_list::<i32>().value(row);
            let json = match element.data_type() {
                DataType::Int32 => serde_json::to_string(&items.as_primitive::<Int32Type>().iter().collect::<Vec<_>>()),
                DataType::Float32 => {
                    serde_json::to_string(&items.as_primitive::<Float32Type>().iter().collect::<Vec<_>>())
                }
                _ => serde_json::to_string(&items.as_string::<i32>().iter().collect::<Vec<_>>()),
            };
            Value::Text(json.map_err(|error| damaged(&error))?)
        }
        other => return Err(Error::new(ErrorKind::Internal, format!("no SQLite form for {other}"))),
    })
}

/// A timestamp in the form that sorts as text.
pub(super) fn timestamp_text(micros: i64) -> Result<Value> {
    let time = DateTime::<Utc>::from_timestamp_micros(micros)
        .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("timestamp out of range: {micros} µs")))?;
    Ok(Value::Text(time.to_rfc3339_opts(SecondsFormat::Micros, true)))
}

fn integer(value: ValueRef<'_>) -> Result<Option<i64>> {
    value.as_i64_or_null().map_err(|error| damaged(&error))
}

fn real(value: ValueRef<'_>) -> Result<Option<f64>> {
    match value {
        ValueRef::Integer(value) => Ok(Some(value as f64)),
        other => other.as_f64_or_null().map_err(|error| damaged(&error)),
    }
}

fn list<T: serde::de::DeserializeOwned>(text: Option<String>) -> Result<Option<Vec<T>>> {
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| damaged(&error))
}

fn damaged(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a community table holds a value that does not fit its column: {error}"))
}

fn unknown_type(field: &Field) -> Error {
    Error::new(ErrorKind::Internal, format!("no SQLite form for column \"{}\"", field.name()))
}

//! Arrow batches as JSON text: what HTTP answers and what `latentdb sql --format json` prints.
//!
//! Each column is downcast once per batch (by arrow-json's encoders) and then written cell by cell.
//! Numbers keep their shortest form that reads back equal, `NaN` and the infinities become `null`,
//! times are RFC 3339, binary is hexadecimal, lists are arrays, structs are objects.

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::record_batch::RecordBatch;

use latentdb_engine::{Error, ErrorKind, Result};

/// How the rows of a batch are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowShape {
    /// `[1,"a"]`
    Array,
    /// `{"id":1,"name":"a"}`
    Object,
}

/// Appends the rows of `batch` to `out`; `between` is called before each row with whether it is the
/// batch's first.
pub(crate) fn write_rows(
    batch: &RecordBatch,
    shape: RowShape,
    out: &mut Vec<u8>,
    mut between: impl FnMut(bool, &mut Vec<u8>),
) -> Result<()> {
    let options = encoder_options();
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        columns.push(Column {
            key: object_key(field.name()),
            encoder: make_encoder(field, array.as_ref(), &options).map_err(|error| unprintable(field, &error))?,
        });
    }
    let (open, close) = match shape {
        RowShape::Array => (b'[', b']'),
        RowShape::Object => (b'{', b'}'),
    };
    for row in 0..batch.num_rows() {
        between(row == 0, out);
        out.push(open);
        for (position, column) in columns.iter_mut().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            if shape == RowShape::Object {
                out.extend_from_slice(&column.key);
            }
            column.write(row, out);
        }
        out.push(close);
    }
    Ok(())
}

/// Writes single values of one array: what the table and CSV formats need for lists and structs.
pub(crate) struct ValueWriter<'a> {
    encoder: NullableEncoder<'a>,
}

impl<'a> ValueWriter<'a> {
    /// A writer of `array`'s values; `options` come from [`encoder_options`].
    pub(crate) fn new(field: &'a FieldRef, array: &'a dyn Array, options: &'a EncoderOptions) -> Result<Self> {
        let encoder = make_encoder(field, array, options).map_err(|error| unprintable(field, &error))?;
        Ok(Self { encoder })
    }

    /// Appends the value at `row`.
    pub(crate) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        write_value(&mut self.encoder, row, out);
    }
}

/// Nulls are written, not left out: every row has every column.
pub(crate) fn encoder_options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true)
}

/// The name people know a column's type by: Postgres' where it has one.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::UInt32 => "oid".into(),
        DataType::UInt64 => "numeric".into(),
        DataType::Float16 | DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "text".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea".into()
        }
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".into(),
        DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => "numeric".into(),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => format!("{}[]", type_name(element.data_type())),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::RunEndEncoded(_, value) => type_name(value.data_type()),
        DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => "json".into(),
    }
}

struct Column<'a> {
    /// `"name":`
    key: Vec<u8>,
    encoder: NullableEncoder<'a>,
}

impl Column<'_> {
    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        write_value(&mut self.encoder, row, out);
    }
}

fn write_value(encoder: &mut NullableEncoder<'_>, row: usize, out: &mut Vec<u8>) {
    if encoder.is_null(row) {
        out.extend_from_slice(b"null");
    } else {
        encoder.encode(row, out);
    }
}

fn object_key(name: &str) -> Vec<u8> {
    let mut key = serde_json::Value::from(name).to_string().into_bytes();
    key.push(b':');
    key
}

fn unprintable(field: &Field, error: &ArrowError) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("column \"{}\" of type {} has no JSON form: {error}", field.name(), field.data_type()),
    )
    .with_hint("cast the column to text, or ask for application/vnd.apache.arrow.stream")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{Float32Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Float32Type, Schema};

    use super::*;

    fn sample() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("na\"me", DataType::Utf8, true),
            Field::new("x", DataType::Float32, true),
            Field::new_list("xs", Field::new_list_field(DataType::Float32, true), true),
        ]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from(vec![Some(1), None])),
                Arc::new(StringArray::from(vec![Some("a\u{0}\n\u{1F600}"), Some("")])),
                Arc::new(Float32Array::from(vec![0.1, f32::NAN])),
                Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(1.5), None]), None])),
            ],
        )
        .unwrap()
    }

    #[test]
    fn rows_read_back_as_the_values_that_went_in() {
        let mut out = vec![b'['];
        write_rows(&sample(), RowShape::Object, &mut out, |first, out| {
            if !first {
                out.push(b',');
            }
        })
        .unwrap();
        out.push(b']');
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!([
            {"id": 1, "na\"me": "a\u{0}\n\u{1F600}", "x": 0.1, "xs": [1.5, null]},
            {"id": null, "na\"me": "", "x": null, "xs": null},
        ]);
        assert_eq!(read, expected);
        assert!(String::from_utf8(out).unwrap().contains("\"x\":0.1,"), "floats keep their shortest form");
    }

    #[test]
    fn array_shape_keeps_column_order() {
        let mut out = Vec::new();
        write_rows(&sample(), RowShape::Array, &mut out, |_, out| out.push(b'\n')).unwrap();
        let lines: Vec<_> = std::str::from_utf8(&out).unwrap().trim().lines().collect();
        assert_eq!(lines[1], "[null,\"\",null,null]");
    }
}

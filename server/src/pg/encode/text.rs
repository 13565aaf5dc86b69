//! The text form of a value, as Postgres' output functions write it.

use std::fmt::Write;

use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType};
use bytes::{BufMut, BytesMut};

use super::column::Column;
use super::{Style, array, float, temporal};

/// Appends the text of the value at `row`, which is not null.
pub(super) fn write(column: &Column, row: usize, style: &Style, out: &mut BytesMut) {
    match column {
        Column::Null => {}
        Column::Bool(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
        Column::Int16(values) => integer(values.value(row), out),
        Column::Int32(values) => integer(values.value(row), out),
        Column::Int64(values) => integer(values.value(row), out),
        Column::Oid(values) => integer(values.value(row), out),
        Column::UInt64(values) => integer(values.value(row), out),
        Column::Float32(values) => float::write_f32(values.value(row), out),
        Column::Float64(values) => float::write_f64(values.value(row), out),
        Column::Decimal128(values) => {
            out.put_slice(
                Decimal128Type::format_decimal(values.value(row), values.precision(), values.scale()).as_bytes(),
            );
        }
        Column::Decimal256(values) => {
            out.put_slice(
                Decimal256Type::format_decimal(values.value(row), values.precision(), values.scale()).as_bytes(),
            );
        }
        Column::Text(values) => out.put_slice(values.value(row).as_bytes()),
        Column::TextView(values) => out.put_slice(values.value(row).as_bytes()),
        Column::Bytes(values) => hexadecimal(values.value(row), out),
        Column::BytesView(values) => hexadecimal(values.value(row), out),
        Column::FixedBytes(values) => hexadecimal(values.value(row), out),
        Column::Uuid(values) => uuid(values.value(row), out),
        Column::Date(values) => temporal::date(values.value(row), out),
        Column::Time(values) => temporal::time(values.value(row), out),
        Column::Timestamp(values) => temporal::timestamp(values.value(row), out),
        Column::TimestampTz(values) => temporal::timestamp_in_zone(values.value(row), style.zone.as_ref(), out),
        Column::Interval(values) => {
            let value = values.value(row);
            temporal::interval(value.months, value.days, value.nanoseconds / 1000, out);
        }
        Column::Duration(values) => temporal::interval(0, 0, values.value(row), out),
        Column::List(list) => array::write_text(list, row, style, out),
    }
}

fn integer(value: impl itoa::Integer, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex_byte(byte: u8, out: &mut BytesMut) {
    out.put_u8(HEX_DIGITS[usize::from(byte >> 4)]);
    out.put_u8(HEX_DIGITS[usize::from(byte & 15)]);
}

fn hexadecimal(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(2 + bytes.len() * 2);
    out.put_slice(b"\\x");
    for byte in bytes {
        hex_byte(*byte, out);
    }
}

fn uuid(bytes: &[u8], out: &mut BytesMut) {
    for (position, byte) in bytes.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        hex_byte(*byte, out);
    }
}

/// Writes formatted text; a `BytesMut` takes everything, so there is no error to report.
pub(super) fn put(out: &mut BytesMut, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

//! The binary form of a value, as Postgres' send functions write it.

use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType};
use bytes::{BufMut, BytesMut};

use super::column::Column;
use super::{array, numeric, temporal};

/// Appends the binary form of the value at `row`, which is not null.
pub(super) fn write(column: &Column, row: usize, out: &mut BytesMut) {
    match column {
        Column::Null => {}
        Column::Bool(values) => out.put_u8(u8::from(values.value(row))),
        Column::Int16(values) => out.put_i16(values.value(row)),
        Column::Int32(values) => out.put_i32(values.value(row)),
        Column::Int64(values) => out.put_i64(values.value(row)),
        Column::Oid(values) => out.put_u32(values.value(row)),
        Column::UInt64(values) => numeric::write(itoa::Buffer::new().format(values.value(row)), out),
        Column::Float32(values) => out.put_f32(values.value(row)),
        Column::Float64(values) => out.put_f64(values.value(row)),
        Column::Decimal128(values) => {
            numeric::write(&Decimal128Type::format_decimal(values.value(row), values.precision(), values.scale()), out);
        }
        Column::Decimal256(values) => {
            numeric::write(&Decimal256Type::format_decimal(values.value(row), values.precision(), values.scale()), out);
        }
        Column::Text(values) => out.put_slice(values.value(row).as_bytes()),
        Column::TextView(values) => out.put_slice(values.value(row).as_bytes()),
        Column::Bytes(values) => out.put_slice(values.value(row)),
        Column::BytesView(values) => out.put_slice(values.value(row)),
        Column::FixedBytes(values) | Column::Uuid(values) => out.put_slice(values.value(row)),
        Column::Date(values) => out.put_i32(values.value(row).saturating_sub(temporal::EPOCH_DAYS)),
        Column::Time(values) => out.put_i64(values.value(row)),
        Column::Timestamp(values) | Column::TimestampTz(values) => {
            out.put_i64(values.value(row).saturating_sub(temporal::EPOCH_MICROS));
        }
        Column::Interval(values) => {
            let value = values.value(row);
            interval(value.months, value.days, value.nanoseconds / 1000, out);
        }
        Column::Duration(values) => interval(0, 0, values.value(row), out),
        Column::List(list) => array::write_binary(list, row, out),
    }
}

fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    out.put_i64(micros);
    out.put_i32(days);
    out.put_i32(months);
}

//! Parameters come back as what was sent, in both formats.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::{Buf, BytesMut};

use super::super::encode::{RowEncoder, Rows, Style};
use super::*;

/// `value` as the server would send it in a row.
fn sent(value: &ScalarValue, format: Format) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![Field::new("x", value.data_type(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![value.to_array().unwrap()]).unwrap();
    let mut out = BytesMut::new();
    let encoder = RowEncoder::new(vec![format], Style::with_zone(None));
    encoder.encode(&mut Rows::new(&batch, &schema).unwrap(), 1, usize::MAX, &mut out);
    out.advance(1 + 4 + 2 + 4);
    out.to_vec()
}

#[test]
fn what_is_sent_out_comes_back_the_same() {
    let utc = || Some(Arc::from("UTC"));
    let list =
        |values: &[ScalarValue], element: &DataType| ScalarValue::List(ScalarValue::new_list(values, element, true));
    let text = |text: &str| ScalarValue::from(text);
    for value in [
        ScalarValue::Boolean(Some(true)),
        ScalarValue::Int8(Some(-3)),
        ScalarValue::Int16(Some(i16::MIN)),
        ScalarValue::Int32(Some(i32::MAX)),
        ScalarValue::Int64(Some(i64::MIN)),
        ScalarValue::UInt32(Some(u32::MAX)),
        ScalarValue::UInt64(Some(u64::MAX)),
        ScalarValue::Float32(Some(0.1)),
        ScalarValue::Float64(Some(-1e-300)),
        ScalarValue::Float64(Some(f64::INFINITY)),
        ScalarValue::Decimal128(Some(-123_450_000), 12, 4),
        ScalarValue::Decimal128(Some(5), 12, 4),
        text("say \"hi\", \\ and {so on}"),
        text(""),
        ScalarValue::Binary(Some(vec![0, 1, 92, 255])),
        ScalarValue::Date32(Some(-800_000)),
        ScalarValue::Time64Microsecond(Some(86_399_999_999)),
        ScalarValue::TimestampMicrosecond(Some(-1), None),
        ScalarValue::TimestampMicrosecond(Some(1_700_000_000_123_456), utc()),
        ScalarValue::TimestampNanosecond(Some(1_700_000_000_123_456_000), utc()),
        list(&[ScalarValue::Int32(Some(1)), ScalarValue::Int32(None)], &DataType::Int32),
        list(&[], &DataType::Float32),
        list(&[text(" the"), text("NULL"), text("a\"b\\c,{}"), ScalarValue::Utf8(None)], &DataType::Utf8),
        list(&[ScalarValue::TimestampMicrosecond(Some(5), utc())], &DataType::Timestamp(TimeUnit::Microsecond, utc())),
    ] {
        for format in [Format::Text, Format::Binary] {
            let expected = value.data_type();
            if matches!(value, ScalarValue::Date32(Some(days)) if days < -719_162) && format == Format::Text {
                continue; // a year before Christ, which Arrow's parser does not read
            }
            let oid = parameter_oid(None, &expected);
            let back = parameter(Some(&sent(&value, format)), format, oid, &expected).unwrap();
            assert_eq!(back, value, "{format:?}");
        }
    }
}

#[test]
fn what_the_client_declares_is_cast_to_what_the_plan_expects() {
    let declared = |pg_type: Type| parameter_oid(Some(pg_type.oid()), &DataType::Int64);
    let int2 = parameter(Some(&7_i16.to_be_bytes()), Format::Binary, declared(Type::INT2), &DataType::Int64).unwrap();
    assert_eq!(int2, ScalarValue::Int64(Some(7)));
    // Drivers that leave the type open send 0 or `unknown`.
    assert_eq!(parameter_oid(Some(0), &DataType::Int32), Type::INT4.oid());
    assert_eq!(parameter_oid(Some(Type::UNKNOWN.oid()), &DataType::Utf8), Type::TEXT.oid());
    let null = parameter(None, Format::Text, Type::INT4.oid(), &DataType::Float64).unwrap();
    assert_eq!(null, ScalarValue::Float64(None));
    let list = DataType::new_list(DataType::Int64, true);
    let bound = parameter(Some(b"{1, 2}"), Format::Text, Type::INT4_ARRAY.oid(), &list).unwrap();
    let expected = [ScalarValue::Int64(Some(1)), ScalarValue::Int64(Some(2))];
    assert_eq!(bound, ScalarValue::List(ScalarValue::new_list(&expected, &DataType::Int64, true)));
}

#[test]
fn malformed_parameters_are_refused_with_the_states_of_postgres() {
    let refused = |value: &[u8], format, pg_type: Type, expected: &DataType| {
        parameter(Some(value), format, pg_type.oid(), expected).unwrap_err().code()
    };
    assert_eq!(refused(b"seven", Format::Text, Type::INT4, &DataType::Int32), "22P02");
    assert_eq!(refused(b"\x00", Format::Binary, Type::INT4, &DataType::Int32), "22P03");
    assert_eq!(refused(b"maybe", Format::Text, Type::BOOL, &DataType::Boolean), "22P02");
    assert_eq!(refused(b"\xff", Format::Text, Type::TEXT, &DataType::Utf8), "22021");
    assert_eq!(refused(&i64::MAX.to_be_bytes(), Format::Binary, Type::INT8, &DataType::Int32), "22003");
    let list = DataType::new_list(DataType::Int32, true);
    for literal in [&b"1,2"[..], b"{1,", b"{1,,2}", b"{\"1}", b"{1}x"] {
        assert_eq!(refused(literal, Format::Text, Type::INT4_ARRAY, &list), "22P02");
    }
    // Counts and lengths that point past the end.
    for bytes in [&[][..], &[0; 11], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 4]] {
        assert_eq!(refused(bytes, Format::Binary, Type::INT4_ARRAY, &list), "22P03");
    }
}

//! Parameters in binary form, as Postgres' receive functions read them.

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use bytes::Buf;
use latentdb_engine::ScalarValue;
use pgwire::api::Type;

use super::super::encode::{EPOCH_DAYS, EPOCH_MICROS};
use super::super::errors::{Report, code};
use super::super::types;
use super::{Result, array, text, utf8};

/// Reads `bytes` as a value of `pg_type`. `expected` decides where the Postgres type leaves it open: what a
/// `numeric` becomes, and the elements of an array.
pub(super) fn parse(bytes: &[u8], pg_type: &Type, expected: &DataType) -> Result<ScalarValue> {
    Ok(match *pg_type {
        Type::BOOL => ScalarValue::Boolean(Some(fixed::<1>(bytes, pg_type)? != [0])),
        Type::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::OID => ScalarValue::UInt32(Some(u32::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        Type::DATE => ScalarValue::Date32(Some(i32::from_be_bytes(fixed(bytes, pg_type)?).saturating_add(EPOCH_DAYS))),
        Type::TIME => ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(fixed(bytes, pg_type)?))),
        Type::TIMESTAMP => ScalarValue::TimestampMicrosecond(Some(moment(bytes, pg_type)?), None),
        Type::TIMESTAMPTZ => ScalarValue::TimestampMicrosecond(Some(moment(bytes, pg_type)?), Some("UTC".into())),
        Type::INTERVAL => interval(bytes, pg_type)?,
        Type::NUMERIC => text::parse(&numeric(bytes).ok_or_else(|| malformed(pg_type))?, expected)?,
        Type::UUID => ScalarValue::Utf8(Some(uuid(&fixed(bytes, pg_type)?))),
        Type::JSONB => match bytes {
            [1, json @ ..] => ScalarValue::Utf8(Some(utf8(json)?.to_owned())),
            _ => return Err(malformed(pg_type)),
        },
        _ if types::element_of(pg_type).is_some() => array::parse_binary(bytes, element_of(expected))?,
        _ => ScalarValue::Utf8(Some(utf8(bytes)?.to_owned())),
    })
}

fn element_of(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => Some(element.data_type()),
        _ => None,
    }
}

fn fixed<const N: usize>(bytes: &[u8], pg_type: &Type) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed(pg_type))
}

fn moment(bytes: &[u8], pg_type: &Type) -> Result<i64> {
    Ok(i64::from_be_bytes(fixed(bytes, pg_type)?).saturating_add(EPOCH_MICROS))
}

fn interval(bytes: &[u8], pg_type: &Type) -> Result<ScalarValue> {
    let mut fields = &fixed::<16>(bytes, pg_type)?[..];
    let (micros, days, months) = (fields.get_i64(), fields.get_i32(), fields.get_i32());
    let nanoseconds =
        micros.checked_mul(1000).ok_or_else(|| Report::new(code::OUT_OF_RANGE, "interval parameter out of range"))?;
    Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds })))
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(*bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The decimal text of a binary `numeric`; `None` if it is malformed.
fn numeric(mut bytes: &[u8]) -> Option<String> {
    let digits = bytes.try_get_u16().ok()?;
    let weight = i32::from(bytes.try_get_i16().ok()?);
    let sign = bytes.try_get_u16().ok()?;
    let scale = usize::from(bytes.try_get_u16().ok()?);
    let digits: Vec<u16> = (0..digits).map(|_| bytes.try_get_u16().ok()).collect::<Option<_>>()?;
    let sign = match sign {
        0 => "",
        0x4000 => "-",
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let digit_at =
        |place: i32| usize::try_from(weight - place).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut whole: String = (0..=weight.max(0)).rev().map(|place| format!("{:04}", digit_at(place))).collect();
    let mut fraction: String = (1..=scale.div_ceil(4) as i32).map(|place| format!("{:04}", digit_at(-place))).collect();
    fraction.truncate(scale);
    let kept = whole.trim_start_matches('0').len().max(1);
    whole.drain(..whole.len() - kept);
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

fn malformed(pg_type: &Type) -> Report {
    Report::new(code::INVALID_BINARY, format!("incorrect binary data format in a parameter of type {}", pg_type.name()))
}

//! Parameters in text form, as Postgres' input functions read them.

use arrow::datatypes::DataType;
use latentdb_engine::ScalarValue;

use super::super::errors::{Report, code};
use super::super::types;
use super::{Result, array};

/// Reads `text` as a value of `data_type`.
pub(super) fn parse(text: &str, data_type: &DataType) -> Result<ScalarValue> {
    match data_type {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Ok(ScalarValue::Utf8(Some(text.to_owned())))
        }
        DataType::Boolean => boolean(text).map(|value| ScalarValue::Boolean(Some(value))),
        DataType::Float32 => number(text, data_type).map(|value| ScalarValue::Float32(Some(value))),
        DataType::Float64 => number(text, data_type).map(|value| ScalarValue::Float64(Some(value))),
        DataType::Int16 => number(text, data_type).map(|value| ScalarValue::Int16(Some(value))),
        DataType::Int32 => number(text, data_type).map(|value| ScalarValue::Int32(Some(value))),
        DataType::Int64 => number(text, data_type).map(|value| ScalarValue::Int64(Some(value))),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            bytea(text).map(|value| ScalarValue::Binary(Some(value)))
        }
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => array::parse_text(text, element),
        DataType::Dictionary(_, values) => parse(text, values),
        other => ScalarValue::try_from_string(text.trim().to_owned(), other).map_err(|_| malformed(text, other)),
    }
}

fn number<T: std::str::FromStr>(text: &str, data_type: &DataType) -> Result<T> {
    text.trim().parse().map_err(|_| malformed(text, data_type))
}

fn boolean(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Ok(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Ok(false),
        _ => Err(malformed(text, &DataType::Boolean)),
    }
}

fn bytea(text: &str) -> Result<Vec<u8>> {
    let malformed = || malformed(text, &DataType::Binary);
    match text.strip_prefix("\\x") {
        Some(digits) => hexadecimal(digits.as_bytes()).ok_or_else(malformed),
        None => escaped(text.as_bytes()).ok_or_else(malformed),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// The older form: `\\` for a backslash, `\ooo` for any byte.
fn escaped(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rest.len());
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

pub(super) fn malformed(text: &str, data_type: &DataType) -> Report {
    let pg_type = types::of_data_type(data_type);
    Report::new(code::INVALID_TEXT, format!("invalid input syntax for type {}: \"{text}\"", pg_type.name()))
}

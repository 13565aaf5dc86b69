//! Arrays as parameters: `{1,2,NULL}` and the binary form. One dimension; more are refused.

use arrow::datatypes::{DataType, FieldRef};
use bytes::Buf;
use latentdb_engine::{ScalarValue, parse_list};
use pgwire::api::Type;

use super::super::errors::{Report, code};
use super::{Result, binary, fit};

/// Reads an array literal whose elements are as `element` says.
pub(super) fn parse_text(literal: &str, element: &FieldRef) -> Result<ScalarValue> {
    let malformed = || Report::new(code::INVALID_TEXT, format!("malformed array literal: \"{literal}\""));
    // pgvector's clients write vectors in brackets, and nothing else is written so.
    let may_be = element.data_type().is_floating() || literal.trim_start().starts_with('{');
    may_be.then(|| parse_list(literal, element)).flatten().ok_or_else(malformed)
}

/// Reads the binary form of an array; elements end up as `expected` (or, without one, as what they are).
pub(super) fn parse_binary(mut bytes: &[u8], expected: Option<&DataType>) -> Result<ScalarValue> {
    let truncated = || Report::new(code::INVALID_BINARY, "incorrect binary data format in an array parameter");
    let dimensions = bytes.try_get_i32().map_err(|_| truncated())?;
    bytes.try_get_i32().map_err(|_| truncated())?; // whether there are nulls
    let oid = bytes.try_get_u32().map_err(|_| truncated())?;
    let element_type = Type::from_oid(oid).ok_or_else(truncated)?;
    let element = match expected {
        Some(expected) => expected.clone(),
        None => super::super::types::of_oid(oid).unwrap_or(DataType::Utf8),
    };
    let mut values = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            let length = bytes.try_get_i32().map_err(|_| truncated())?;
            bytes.try_get_i32().map_err(|_| truncated())?; // the first index
            for _ in 0..length {
                values.push(match bytes.try_get_i32().map_err(|_| truncated())? {
                    -1 => null(&element)?,
                    size => {
                        let (value, rest) = usize::try_from(size)
                            .ok()
                            .and_then(|size| bytes.split_at_checked(size))
                            .ok_or_else(truncated)?;
                        bytes = rest;
                        fit(binary::parse(value, &element_type, &element)?, &element)?
                    }
                });
            }
        }
        _ => {
            return Err(Report::new(
                code::UNSUPPORTED,
                "array parameters of more than one dimension are not supported",
            ));
        }
    }
    Ok(list(&values, &element))
}

fn null(element: &DataType) -> Result<ScalarValue> {
    ScalarValue::try_new_null(element).map_err(|fault| super::unusable(element, &fault))
}

fn list(values: &[ScalarValue], element: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list(values, element, true))
}

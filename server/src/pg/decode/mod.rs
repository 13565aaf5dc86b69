//! Parameters: from the bytes of a `Bind` message to scalar values of the types the plan expects.

mod array;
mod binary;
mod text;

use arrow::datatypes::DataType;
use latentdb_engine::ScalarValue;
use pgwire::api::Type;

use super::encode::Format;
use super::errors::{Report, code};
use super::types;

type Result<T> = std::result::Result<T, Report>;

/// The OID under which a parameter travels: what the client declared, else what the plan expects.
pub(super) fn parameter_oid(declared: Option<u32>, expected: &DataType) -> u32 {
    match declared {
        None | Some(0) => types::of_data_type(expected).oid(),
        Some(oid) if oid == Type::UNKNOWN.oid() => types::of_data_type(expected).oid(),
        Some(oid) => oid,
    }
}

/// Decodes a parameter that travels under `oid` into a value of type `expected`.
pub(super) fn parameter(value: Option<&[u8]>, format: Format, oid: u32, expected: &DataType) -> Result<ScalarValue> {
    let Some(value) = value else {
        return ScalarValue::try_new_null(expected).map_err(|fault| unusable(expected, &fault));
    };
    let pg_type = Type::from_oid(oid).unwrap_or(Type::TEXT);
    let decoded = match format {
        Format::Text => text::parse(utf8(value)?, &travelling_type(&pg_type, expected))?,
        Format::Binary => binary::parse(value, &pg_type, expected)?,
    };
    fit(decoded, expected)
}

/// The Arrow type to read a value of `pg_type` as, before it is cast to `expected`.
fn travelling_type(pg_type: &Type, expected: &DataType) -> DataType {
    if types::of_data_type(expected) == *pg_type {
        return expected.clone();
    }
    types::of_oid(pg_type.oid()).unwrap_or_else(|| expected.clone())
}

fn fit(value: ScalarValue, expected: &DataType) -> Result<ScalarValue> {
    if value.data_type() == *expected || *expected == DataType::Null {
        return Ok(value);
    }
    value.cast_to(expected).map_err(|fault| {
        Report::new(code::OUT_OF_RANGE, format!("parameter value does not fit type {expected}"))
            .with_detail(fault.to_string())
    })
}

fn utf8(value: &[u8]) -> Result<&str> {
    std::str::from_utf8(value)
        .map_err(|_| Report::new("22021", "invalid byte sequence for encoding \"UTF8\" in a parameter"))
}

fn unusable(expected: &DataType, fault: &dyn std::fmt::Display) -> Report {
    Report::new(code::UNSUPPORTED, format!("a parameter cannot be of type {expected}")).with_detail(fault.to_string())
}

#[cfg(test)]
mod tests;

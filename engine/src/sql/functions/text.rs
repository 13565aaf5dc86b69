//! Postgres functions on text and numbers that DataFusion lacks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use serde_json::Value;

use super::Function;
use super::columns::argument;

/// Version of Postgres whose behaviour is followed, as `version()` and `server_version` tell it.
pub(crate) const POSTGRES_VERSION: &str = crate::sql::settings::SERVER_VERSION;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let text = || DataType::Utf8;
    vec![
        Function::exact("quote_literal", &[text()], text(), Volatility::Immutable, |arguments, _| {
            map_text(arguments, |value| Some(quote_literal(value)))
        }),
        Function::exact("quote_nullable", &[text()], text(), Volatility::Immutable, |arguments, _| {
            let texts = argument(arguments, 0, &DataType::Utf8)?;
            let quoted = texts.as_string::<i32>().iter().map(|value| value.map_or("NULL".to_owned(), quote_literal));
            Ok(Arc::new(quoted.map(Some).collect::<StringArray>()))
        }),
        Function::exact("pg_size_pretty", &[DataType::Int64], text(), Volatility::Immutable, |arguments, _| {
            let sizes = argument(arguments, 0, &DataType::Int64)?;
            let pretty = sizes.as_primitive::<Int64Type>().iter().map(|size| size.map(pretty_size));
            Ok(Arc::new(pretty.collect::<StringArray>()))
        }),
        Function::any(
            "json_build_object",
            &[0, 2, 4, 6, 8, 10, 12, 14, 16],
            text(),
            Volatility::Stable,
            json_build_object,
        ),
        Function::exact("version", &[], text(), Volatility::Stable, |_, rows| {
            let version = format!(
                "PostgreSQL {POSTGRES_VERSION} (LatentDB {}), {}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH
            );
            Ok(Arc::new(StringArray::from(vec![version; rows])))
        }),
    ]
}

fn map_text(arguments: &[ArrayRef], map: impl Fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let texts = argument(arguments, 0, &DataType::Utf8)?;
    Ok(Arc::new(texts.as_string::<i32>().iter().map(|text| text.and_then(&map)).collect::<StringArray>()))
}

/// Names and values by turns, as a JSON object for each row.
fn json_build_object(arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments.iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
    let value = |argument: usize, row: usize| -> Value {
        let (Some(column), Some(text)) = (arguments.get(argument), texts.get(argument)) else { return Value::Null };
        if text.is_null(row) {
            return Value::Null;
        }
        let text = text.as_string::<i32>().value(row);
        let is_bare = column.data_type().is_numeric() || column.data_type() == &DataType::Boolean;
        let bare = if is_bare { serde_json::from_str(text).ok() } else { None };
        bare.unwrap_or_else(|| Value::String(text.to_owned()))
    };
    let objects = (0..rows).map(|row| {
        let members = (0..arguments.len()).step_by(2).map(|argument| {
            let name = match value(argument, row) {
                Value::String(name) => name,
                other => other.to_string(),
            };
            (name, value(argument + 1, row))
        });
        Some(Value::Object(members.collect()).to_string())
    });
    Ok(Arc::new(objects.collect::<StringArray>()))
}

fn quote_literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Postgres goes to the next unit at ten thousand of one, and rounds halves away from zero.
fn pretty_size(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut size = i128::from(bytes);
    let mut unit = 0;
    while size.abs() >= 10 * 1024 && unit + 1 < UNITS.len() {
        size = (size + 512 * size.signum()) / 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS.get(unit).copied().unwrap_or("PB"))
}

//! Values for `$1`, `$2`, … from JSON.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use latentdb_engine::{Error, ErrorKind, Result, ScalarValue};
use serde_json::Value;

/// Reads each of `values` as the type its parameter has.
pub(super) fn read_parameters(values: &[Value], types: &[DataType]) -> Result<Vec<ScalarValue>> {
    if values.len() != types.len() {
        return Err(Error::new(
            ErrorKind::InvalidValue,
            format!("the statement has {} parameters, the request brings {}", types.len(), values.len()),
        ));
    }
    values
        .iter()
        .zip(types)
        .enumerate()
        .map(|(position, (value, data_type))| read(position, value, data_type))
        .collect()
}

fn read(position: usize, value: &Value, data_type: &DataType) -> Result<ScalarValue> {
    let bad = |reason: String| {
        Error::new(ErrorKind::InvalidValue, format!("${} is not a {data_type}: {reason}", position + 1))
    };
    if value.is_null() {
        return ScalarValue::try_from(data_type).map_err(|error| bad(error.to_string()));
    }
    let schema = Schema::new(vec![Field::new("value", data_type.clone(), true)]);
    let mut decoder = ReaderBuilder::new(Arc::new(schema))
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(|error| bad(error.to_string()))?;
    decoder.serialize(&[serde_json::json!({ "value": value })]).map_err(|error| bad(error.to_string()))?;
    let batch = decoder.flush().map_err(|error| bad(error.to_string()))?;
    let array = batch.as_ref().and_then(|batch| batch.columns().first());
    let array = array.ok_or_else(|| bad("no value".to_owned()))?;
    ScalarValue::try_from_array(array, 0).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::datatypes::TimeUnit;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_values_take_the_parameters_types() {
        let list = DataType::new_list(DataType::Int32, true);
        let types = [DataType::Int32, DataType::Utf8, DataType::Float64, list, DataType::Int64];
        let values =
            read_parameters(&[json!(7), json!("x"), json!(0.5), json!([1, null]), json!(null)], &types).unwrap();
        assert_eq!(values[0], ScalarValue::Int32(Some(7)));
        assert_eq!(values[1], ScalarValue::Utf8(Some("x".into())));
        assert_eq!(values[2], ScalarValue::Float64(Some(0.5)));
        assert_eq!(values[3].to_string(), "[1, ]");
        assert_eq!(values[4], ScalarValue::Int64(None));
    }

    #[test]
    fn times_and_text_numbers_are_read() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let values = read_parameters(&[json!("1970-01-01T00:00:01Z"), json!("12")], &[time, DataType::Int64]).unwrap();
        assert_eq!(values[0], ScalarValue::TimestampMicrosecond(Some(1_000_000), Some("UTC".into())));
        assert_eq!(values[1], ScalarValue::Int64(Some(12)));
    }

    #[test]
    fn values_that_do_not_fit_are_refused_by_number() {
        let error = read_parameters(&[json!(1), json!("seven")], &[DataType::Int32, DataType::Int32]).unwrap_err();
        assert!(error.message().starts_with("$2 is not a Int32"), "{error}");
        assert!(read_parameters(&[json!(1e10)], &[DataType::Int32]).is_err());
        assert!(read_parameters(&[], &[DataType::Int32]).is_err());
    }
}

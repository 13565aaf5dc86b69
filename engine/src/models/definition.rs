//! A model function as the registry of SQL functions knows it.

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field};

use super::marker::Marker;
use super::service::ModelFunction;
use crate::sql::lateral::FunctionDefinition;
use crate::{Error, ErrorKind, Result};

/// The definition that SQL calls `function` by.
pub(crate) fn definition(function: ModelFunction) -> Result<FunctionDefinition> {
    let result = match (function.gives_rows, &function.result) {
        (true, DataType::List(element)) => rows(element),
        (true, other) => {
            let message = format!("{} gives rows, so its result must be a list, not {other}", function.name);
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        (false, value) => sql_type(value),
    };
    let (summary, gives_rows, parameters) = (function.summary, function.gives_rows, function.parameters.clone());
    Ok(FunctionDefinition {
        scalar: Marker::scalar(function)?,
        summary,
        parameters: Cow::Owned(parameters),
        gives_rows,
        result: Cow::Owned(result),
    })
}

fn rows(element: &Field) -> String {
    match element.data_type() {
        DataType::Struct(columns) => {
            let columns: Vec<String> =
                columns.iter().map(|column| format!("{} {}", column.name(), sql_type(column.data_type()))).collect();
            format!("TABLE({})", columns.join(", "))
        }
        value => format!("SETOF {}", sql_type(value)),
    }
}

/// The Postgres name of a type.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::List(element) => format!("{}[]", sql_type(element.data_type()).trim_end_matches("[]")),
        DataType::Struct(_) => "record".to_owned(),
        _ => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_by_their_postgres_names() {
        let columns = vec![
            Field::new("id", DataType::Int32, true),
            Field::new("acts", DataType::new_list(DataType::Float32, true), true),
        ];
        let element = Field::new_list_field(DataType::Struct(columns.into()), true);
        assert_eq!(rows(&element), "TABLE(id integer, acts real[])");
        assert_eq!(rows(&Field::new_list_field(DataType::Utf8, true)), "SETOF text");
        assert_eq!(sql_type(&DataType::new_list(DataType::Float64, true)), "double precision[]");
    }
}

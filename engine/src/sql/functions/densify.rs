//! `densify`: activations as they are stored, positions and values, as one value for every token.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Builder, ListBuilder};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::Volatility;

use super::Function;
use super::columns::{argument, list, list_of};
use crate::sql::lateral::{FunctionDefinition, FunctionParameter};
use crate::{Error, ErrorKind};

/// Longest list that a row may ask for: beyond any context, and short of what one row should take.
const MAX_TOKENS: i64 = 1 << 24;

pub(super) fn definitions() -> Vec<FunctionDefinition> {
    vec![FunctionDefinition {
        scalar: Arc::new(Function::any("densify", &[3], list_of(DataType::Float32), Volatility::Immutable, densify)),
        summary: "A value for every token from the positions and values of those that are not zero",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required("positions", "integer[]", "Positions of the tokens, from 0"),
                    FunctionParameter::required("acts", "real[]", "Activation at each position"),
                    FunctionParameter::required("n", "integer", "Number of tokens"),
                ]
            },
        ),
        gives_rows: false,
        result: Cow::Borrowed("real[]"),
    }]
}

fn densify(arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let positions = list(arguments, 0, DataType::Int32)?;
    let acts = list(arguments, 1, DataType::Float32)?;
    let counts = argument(arguments, 2, &DataType::Int64)?;
    let counts = counts.as_primitive::<Int64Type>();
    let mut builder = ListBuilder::new(Float32Builder::new());
    let mut dense: Vec<f32> = Vec::new();
    for row in 0..rows {
        if positions.is_null(row) || acts.is_null(row) || counts.is_null(row) {
            builder.append_null();
            continue;
        }
        let count = counts.value(row);
        if !(0..=MAX_TOKENS).contains(&count) {
            return Err(invalid(format!("densify: n is {count}, not between 0 and {MAX_TOKENS}")));
        }
        let (positions, acts) = (positions.value(row), acts.value(row));
        let (positions, acts) = (positions.as_primitive::<Int32Type>(), acts.as_primitive::<Float32Type>());
        if positions.len() != acts.len() {
            return Err(invalid(format!("densify: {} positions but {} values", positions.len(), acts.len())));
        }
        dense.clear();
        dense.resize(count as usize, 0.0);
        for (position, value) in positions.iter().zip(acts.iter()) {
            let (Some(position), Some(value)) = (position, value) else { continue };
            match usize::try_from(position).ok().and_then(|position| dense.get_mut(position)) {
                Some(slot) => *slot = value,
                None => return Err(invalid(format!("densify: position {position} is outside 0..{count}"))),
            }
        }
        builder.values().append_slice(&dense);
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

fn invalid(message: String) -> datafusion::error::DataFusionError {
    Error::new(ErrorKind::InvalidValue, message).into()
}

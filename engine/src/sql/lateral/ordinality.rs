//! `WITH ORDINALITY`: the numbers 1, 2, … beside the elements of lists that are unnested together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, ListBuilder};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function that gives, for lists, the list `1..=n`, where `n` is the length of the longest.
pub(super) fn ordinals() -> ScalarUDF {
    ScalarUDF::new_from_impl(Ordinals { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordinals {
    signature: Signature,
}

impl ScalarUDFImpl for Ordinals {
    fn name(&self) -> &str {
        "list_ordinals"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists =
            call.args.iter().map(|argument| argument.to_array(call.number_rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let lengths =
            lists.iter().map(|list| Ok(cast(&length(list)?, &DataType::Int64)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let mut builder = ListBuilder::new(Int64Builder::new());
        for row in 0..call.number_rows {
            let longest = lengths
                .iter()
                .map(|lengths| lengths.as_primitive::<Int64Type>())
                .filter(|lengths| lengths.is_valid(row))
                .map(|lengths| lengths.value(row))
                .max()
                .unwrap_or(0);
            builder.append_value((1..=longest).map(Some));
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

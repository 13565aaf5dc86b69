//! Distances of vectors in SQL: pgvector's functions, and what its operators `<->`, `<=>` and `<#>` stand for.
//!
//! Vectors are lists of numbers. A stored vector without a distance (a zero vector under cosine, a component that is not finite)
//! gives NaN, which sorts last, as in pgvector; a constant one is an error, and so are vectors of two lengths.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Builder};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use latentdb_vectors::{Metric, distance};

use super::failure::from_vectors;
use super::values::Vectors;

/// A distance as a function.
#[derive(Debug)]
pub(crate) struct Distance {
    name: &'static str,
    metric: Metric,
    /// What the metric's value is multiplied by.
    sign: f64,
    signature: Signature,
}

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let function = |name, metric, sign| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Distance { name, metric, sign, signature }))
    };
    vec![
        function("l2_distance", Metric::L2, 1.0),
        function("cosine_distance", Metric::Cosine, 1.0),
        function("vector_negative_inner_product", Metric::InnerProduct, 1.0),
        function("inner_product", Metric::InnerProduct, -1.0),
    ]
});

/// The functions.
pub(crate) fn functions() -> &'static [Arc<ScalarUDF>] {
    &FUNCTIONS
}

/// The function that an operator stands for.
pub(crate) fn of_operator(operator: &str) -> Option<&'static Arc<ScalarUDF>> {
    let name = match operator {
        "<->" => "l2_distance",
        "<=>" => "cosine_distance",
        "<#>" => "vector_negative_inner_product",
        _ => return None,
    };
    FUNCTIONS.iter().find(|function| function.name() == name)
}

/// Column, metric and vector of a comparison of a column with a vector that has no columns, if smaller values of it mean nearer.
pub(crate) fn comparison(expr: &Expr) -> Option<(datafusion::common::Column, Metric, Expr)> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    let function: &dyn Any = func.inner().as_ref();
    let distance: &Distance = function.downcast_ref().filter(|distance: &&Distance| distance.sign > 0.0)?;
    let (column, vector) = match args.as_slice() {
        [Expr::Column(column), vector] | [vector, Expr::Column(column)] => (column, vector),
        _ => return None,
    };
    vector.column_refs().is_empty().then(|| (column.clone(), distance.metric, vector.clone()))
}

/// A comparison of a column with a constant vector.
pub(super) struct Comparison {
    pub(super) column: datafusion::common::Column,
    pub(super) vector: Vec<f32>,
    pub(super) metric: Metric,
}

impl Comparison {
    /// The comparison that `expr` is, if smaller values of it mean nearer.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let (column, metric, vector) = comparison(expr)?;
        let Expr::Literal(vector, _) = vector else { return None };
        let vector = Vectors::new(&vector.to_array().ok()?).ok()?.get(0)?.to_vec();
        Some(Self { column, vector, metric })
    }
}

impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Distance {}

impl Hash for Distance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = || DataType::new_list(DataType::Float32, true);
        let vector = |given: &DataType| match given {
            // Tables and constants name their elements differently; a cast would hide the column from the index.
            DataType::List(field) if field.data_type() == &DataType::Float32 => Ok(given.clone()),
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)
                if field.data_type().is_numeric() || field.data_type() == &DataType::Null =>
            {
                Ok(wanted())
            }
            DataType::Null => Ok(wanted()),
            other => exec_err!("{} compares vectors (real[]), not {other}", self.name),
        };
        match types {
            [one, other] => Ok(vec![vector(one)?, vector(other)?]),
            _ => exec_err!("{} takes two vectors", self.name),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [one, other] = args.args.as_slice() else { return exec_err!("{} takes two vectors", self.name) };
        let (one, other) = (Side::new(one)?, Side::new(other)?);
        for constant in [&one, &other].into_iter().filter(|side| side.is_constant) {
            if let Some(vector) = constant.get(0) {
                distance(self.metric, vector, vector).map_err(from_vectors)?;
            }
        }
        let is_constant = one.is_constant && other.is_constant;
        let rows = if is_constant { 1 } else { args.number_rows };
        let mut distances = Float64Builder::with_capacity(rows);
        for row in 0..rows {
            match (one.get(row), other.get(row)) {
                (Some(a), Some(b)) => distances.append_value(self.measure(a, b)?),
                _ => distances.append_null(),
            }
        }
        let distances: ArrayRef = Arc::new(distances.finish());
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&distances, 0)?)),
            false => Ok(ColumnarValue::Array(distances)),
        }
    }
}

impl Distance {
    fn measure(&self, a: &[f32], b: &[f32]) -> Result<f64> {
        match distance(self.metric, a, b) {
            Ok(distance) => Ok(f64::from(distance) * self.sign),
            Err(
                latentdb_vectors::Error::ZeroVector
                | latentdb_vectors::Error::NotFinite { .. }
                | latentdb_vectors::Error::TooLong,
            ) => Ok(f64::NAN),
            Err(error) => Err(from_vectors(error).into()),
        }
    }
}

/// One argument.
struct Side {
    vectors: Vectors,
    is_constant: bool,
}

impl Side {
    fn new(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self { vectors: Vectors::new(array)?, is_constant: false },
            ColumnarValue::Scalar(scalar) => Self { vectors: Vectors::new(&scalar.to_array()?)?, is_constant: true },
        })
    }

    fn get(&self, row: usize) -> Option<&[f32]> {
        self.vectors.get(if self.is_constant { 0 } else { row })
    }
}

/// pgvector's way to write a vector: `[1, 2.5, -3]`.
pub(crate) fn parse_vector(text: &str) -> Option<Vec<f32>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|number| number.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::parse_vector;

    #[test]
    fn vectors_are_written_as_in_pgvector() {
        assert_eq!(parse_vector(" [1, 2.5,-3e-1 ] "), Some(vec![1.0, 2.5, -0.3]));
        assert_eq!(parse_vector("[]"), Some(Vec::new()));
        for text in ["", "1,2", "[1,,2]", "[1;2]", "[one]", "{1,2}"] {
            assert_eq!(parse_vector(text), None, "{text}");
        }
    }
}

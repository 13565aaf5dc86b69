//! What a scan is asked for beyond its filters: the best rows by words or by distance.
//!
//! The rule [`super::rule`] puts a question among a scan's filters as a call that is always true; so one that no scan takes up
//! changes nothing. The scan finds it there ([`Question::among`]) and lets an index answer ([`super::exec`]).

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use latentdb_vectors::Metric;

use super::bm25::Ranking;

/// A question about one column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub column: String,
    pub wanted: Wanted,
}

/// Which rows.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// All; but the ranking is to know the words of the whole table before the first row is ranked.
    Statistics(Arc<Ranking>),
    /// The `k` best, and those that are as good as the last of them.
    Best { ranking: Arc<Ranking>, k: usize },
    /// The `k` nearest, and perhaps more.
    Nearest { vector: Arc<Vec<f32>>, metric: Metric, k: usize },
}

impl Question {
    /// The question as a filter.
    pub(crate) fn into_filter(self) -> Expr {
        // Volatile, or it would be folded into `true` and lost.
        let marker = Marker { question: Arc::new(self), signature: Signature::nullary(Volatility::Volatile) };
        let function = Arc::new(ScalarUDF::new_from_impl(marker));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, Vec::new()))
    }

    /// The question that `filter` is, if it is one.
    pub(crate) fn of(filter: &Expr) -> Option<Arc<Self>> {
        let Expr::ScalarFunction(call) = filter else { return None };
        let function: &dyn Any = call.func.inner().as_ref();
        function.downcast_ref().map(|marker: &Marker| Arc::clone(&marker.question))
    }

    /// The questions among `filters`, and the other filters.
    pub(crate) fn among(filters: &[Expr]) -> (Vec<Arc<Self>>, Vec<Expr>) {
        let (questions, others): (Vec<_>, Vec<_>) = filters.iter().partition(|filter| Self::of(filter).is_some());
        (questions.into_iter().filter_map(Self::of).collect(), others.into_iter().cloned().collect())
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Statistics(ranking) => write!(f, "statistics of {} @@ '{}'", self.column, ranking.text()),
            Wanted::Best { ranking, k } => write!(f, "{k} best of {} @@ '{}'", self.column, ranking.text()),
            Wanted::Nearest { metric, k, vector } => {
                let metric = super::definition::metric_name(*metric);
                write!(f, "{k} nearest of {} by {metric}, {} dimensions", self.column, vector.len())
            }
        }
    }
}

/// Stands for a question among filters.
#[derive(Debug)]
struct Marker {
    question: Arc<Question>,
    signature: Signature,
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.question, &other.question)
    }
}

impl Eq for Marker {}

impl Hash for Marker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.question).hash(state);
    }
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        "__search"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(true.into()))
    }
}

//! The contract between the engine, which plans calls of models, and whoever answers them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::logical_expr::Volatility;

use crate::Result;
use crate::sql::FunctionParameter;

/// A function that a model answers, as SQL sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFunction {
    /// Name, in lower case.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Parameters in order. As with `STRICT` functions in Postgres, a null in one that has no default gives null, and
    /// no model is asked; null in one with a default is passed on.
    pub parameters: Vec<FunctionParameter>,
    /// Type of the result; a list, of structs with a field for each column, if the function gives rows.
    pub result: DataType,
    /// Whether it gives rows when it stands in `FROM`.
    pub gives_rows: bool,
    /// Equal calls of a function that is not [`Volatility::Volatile`] are answered once.
    pub volatility: Volatility,
}

/// Calls of one function, to be answered together.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// Name of the function.
    pub function: Arc<str>,
    /// An array for each parameter, of the declared type, all of one length: a row is a call.
    pub arguments: Vec<ArrayRef>,
    /// Name of the user who asks.
    pub user: Arc<str>,
}

impl ModelRequest {
    /// How many calls these are.
    pub fn rows(&self) -> usize {
        self.arguments.first().map_or(0, |argument| argument.len())
    }
}

/// How much a service takes at a time from one operator of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// Cost, in tokens, that the rows of a request may come to; one row is always sent, whatever it costs.
    pub request_tokens: usize,
    /// Requests that wait for their answers at a time.
    pub in_flight: usize,
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self { request_tokens: 8192, in_flight: 2 }
    }
}

/// Answers calls of model functions. The engine batches, deduplicates and cancels; it knows no model.
#[async_trait]
pub trait ModelService: fmt::Debug + Send + Sync {
    /// The functions it answers.
    fn functions(&self) -> Vec<ModelFunction>;

    /// Answers a batch: one result for each row, in order and of the function's type. Dropping the future cancels
    /// the work.
    async fn answer(&self, request: ModelRequest) -> Result<ArrayRef>;

    /// Rough cost of each row, in tokens: a quarter of the bytes of its longest text.
    fn costs(&self, request: &ModelRequest) -> Vec<usize> {
        (0..request.rows()).map(|row| longest_text(&request.arguments, row).div_ceil(4).max(1)).collect()
    }

    /// How much it takes at a time.
    fn limits(&self) -> ModelLimits {
        ModelLimits::default()
    }
}

fn longest_text(arguments: &[ArrayRef], row: usize) -> usize {
    let bytes = |argument: &ArrayRef| match argument.data_type() {
        DataType::Utf8 if argument.is_valid(row) => argument.as_string::<i32>().value(row).len(),
        DataType::List(_) if argument.is_valid(row) => {
            let elements = argument.as_list::<i32>().value(row);
            elements.as_string_opt::<i32>().map_or(elements.len(), |texts| texts.iter().flatten().map(str::len).sum())
        }
        _ => 0,
    };
    arguments.iter().map(bytes).max().unwrap_or(0)
}

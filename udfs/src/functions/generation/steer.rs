//! `steer(model, prompt, steering, …)`: how a model goes on by itself, and with features turned up or down.

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};

use super::super::{Operation, model, prepend_bos};
use super::{generate_all, options, prompt, request, steering, steering_options, texts};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::{record_of, records};

#[derive(Debug)]
pub(in crate::functions) struct Steer;

fn columns() -> Vec<(String, arrow::datatypes::DataType)> {
    let steered = texts::columns("steered_");
    texts::columns("default_").into_iter().zip(steered).flat_map(|(default, steered)| [default, steered]).collect()
}

#[async_trait]
impl Operation for Steer {
    fn declaration(&self) -> ModelFunction {
        let what = "Features and vectors to turn up or down, as JSON: [{\"source\": …, \"index\": …, \"strength\": …}]";
        let mut parameters = vec![
            model(),
            FunctionParameter::required("prompt", "text", "The text to go on with"),
            FunctionParameter::required("steering", "text", what),
        ];
        parameters.extend(options());
        parameters.extend(steering_options());
        parameters.push(prepend_bos());
        ModelFunction {
            name: "steer",
            summary: "How a model goes on with a prompt, and how with features turned up or down",
            parameters,
            result: record_of(&columns()),
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut requests = Vec::with_capacity(2 * arguments.rows());
        for row in 0..arguments.rows() {
            requests.push(request(arguments, row, prompt(arguments, row)?, None)?);
            requests.push(request(arguments, row, prompt(arguments, row)?, steering(arguments, row)?)?);
        }
        let (default, steered): (Vec<_>, Vec<_>) = pairs(generate_all(models, requests).await?);
        let (default, steered) = (texts::arrays(&default), texts::arrays(&steered));
        records(columns(), default.into_iter().zip(steered).flat_map(|(default, steered)| [default, steered]).collect())
    }
}

/// What stands at even places, and what stands at odd ones.
fn pairs<T>(all: Vec<T>) -> (Vec<T>, Vec<T>) {
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for (place, one) in all.into_iter().enumerate() {
        if place % 2 == 0 { even.push(one) } else { odd.push(one) }
    }
    (even, odd)
}

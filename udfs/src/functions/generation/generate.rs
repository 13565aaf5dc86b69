//! `generate(model, prompt, …)`: how a model goes on, steered or not.

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};

use super::super::{Operation, model, prepend_bos};
use super::{generate_all, options, prompt, request, steering, steering_options, texts};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::{record_of, records};

#[derive(Debug)]
pub(in crate::functions) struct Generate;

#[async_trait]
impl Operation for Generate {
    fn declaration(&self) -> ModelFunction {
        let mut parameters =
            vec![model(), FunctionParameter::required("prompt", "text", "The text to go on with"), prepend_bos()];
        parameters.extend(options());
        parameters.push(steering_parameter());
        parameters.extend(steering_options());
        ModelFunction {
            name: "generate",
            summary: "How a model goes on with a prompt, steered or not",
            parameters,
            result: record_of(&texts::columns("")),
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let requests = (0..arguments.rows())
            .map(|row| request(arguments, row, prompt(arguments, row)?, steering(arguments, row)?))
            .collect::<Result<_>>()?;
        let found = generate_all(models, requests).await?;
        records(texts::columns(""), texts::arrays(&found))
    }
}

/// Features and vectors, for functions that can do without.
pub(super) fn steering_parameter() -> FunctionParameter {
    FunctionParameter::optional(
        "steering",
        "text",
        "NULL",
        "Features and vectors to turn up or down, as JSON: [{\"source\": …, \"index\": …, \"strength\": …}]",
    )
}

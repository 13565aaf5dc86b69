//! `chat(model, messages, …)`: what a model answers in a conversation, steered or not.

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};

use super::super::{Operation, model};
use super::generate::steering_parameter;
use super::{generate_all, messages, options, request, steering, steering_options, texts};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::{record_of, records};

#[derive(Debug)]
pub(in crate::functions) struct Chat;

#[async_trait]
impl Operation for Chat {
    fn declaration(&self) -> ModelFunction {
        let what = "The conversation as JSON: [{\"role\": \"user\", \"content\": \"…\"}]";
        let mut parameters = vec![model(), FunctionParameter::required("messages", "text", what)];
        parameters.extend(options());
        parameters.push(steering_parameter());
        parameters.extend(steering_options());
        ModelFunction {
            name: "chat",
            summary: "What a model answers in a conversation, through its chat template, steered or not",
            parameters,
            result: record_of(&texts::columns("")),
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let requests = (0..arguments.rows())
            .map(|row| request(arguments, row, messages(arguments, row)?, steering(arguments, row)?))
            .collect::<Result<_>>()?;
        let found = generate_all(models, requests).await?;
        records(texts::columns(""), texts::arrays(&found))
    }
}

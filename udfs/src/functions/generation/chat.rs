//! `chat(model, messages, …)`: what a model answers in a conversation, steered or not.

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result};

use super::super::{Operation, model};
use super::{answer_each, messages, one_text};
use crate::arguments::Arguments;
use crate::library::Models;

#[derive(Debug)]
pub(in crate::functions) struct Chat;

#[async_trait]
impl Operation for Chat {
    fn declaration(&self) -> ModelFunction {
        let what = "The conversation as JSON: [{\"role\": \"user\", \"content\": \"…\"}]";
        let summary = "What a model answers in a conversation, through its chat template, steered or not";
        one_text("chat", summary, vec![model(), FunctionParameter::required("messages", "text", what)])
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        answer_each(models, arguments, messages).await
    }
}

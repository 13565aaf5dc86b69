//! `chat(model, messages, …)`: what a model answers in a conversation, steered or not.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result};

use super::super::{Operation, model};
use super::{answer_each, messages, one_text, texts};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::{record_of, records};

#[derive(Debug)]
pub(in crate::functions) struct Chat;

fn columns() -> Vec<(String, DataType)> {
    let thinking = ("thinking".to_owned(), DataType::Utf8);
    texts::columns("").into_iter().chain([thinking]).collect()
}

#[async_trait]
impl Operation for Chat {
    fn declaration(&self) -> ModelFunction {
        let what = "The conversation as JSON: [{\"role\": \"user\", \"content\": \"…\"}]";
        let summary = "What a model answers in a conversation, through its chat template, steered or not";
        let thinking = FunctionParameter::optional(
            "enable_thinking",
            "boolean",
            "false",
            "Let the model think before it answers, if its template knows how",
        );
        let messages = FunctionParameter::required("messages", "text", what);
        let function = one_text("chat", summary, vec![model(), messages, thinking]);
        ModelFunction { result: record_of(&columns()), ..function }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let found = answer_each(models, arguments, messages).await?;
        let mut arrays = texts::arrays(&found);
        arrays.push(texts::thinking(&found));
        records(columns(), arrays)
    }
}

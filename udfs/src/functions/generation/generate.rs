//! `generate(model, prompt, …)`: how a model goes on, steered or not.

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result};

use super::super::{Operation, model, prepend_bos};
use super::{answer_each, one_text, prompt, texts};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::records;

#[derive(Debug)]
pub(in crate::functions) struct Generate;

#[async_trait]
impl Operation for Generate {
    fn declaration(&self) -> ModelFunction {
        let prompt = FunctionParameter::required("prompt", "text", "The text to go on with");
        let summary = "How a model goes on with a prompt, steered or not";
        one_text("generate", summary, vec![model(), prompt, prepend_bos()])
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let found = answer_each(models, arguments, prompt).await?;
        records(texts::columns(""), texts::arrays(&found))
    }
}

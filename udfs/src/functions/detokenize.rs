//! `detokenize(model, token_ids)`: the text of tokens.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, Result, Volatility};

use super::{Operation, model};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;

#[derive(Debug)]
pub(super) struct Detokenize;

#[async_trait]
impl Operation for Detokenize {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "detokenize",
            summary: "The text of tokens",
            parameters: vec![model(), FunctionParameter::required("token_ids", "integer[]", "Token ids")],
            result: DataType::Utf8,
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut texts = StringBuilder::new();
        for row in 0..arguments.rows() {
            let worker = models.worker(arguments.text("model", row)?).await?;
            let ids = arguments.counts_or_none("token_ids", row)?.unwrap_or_default();
            let vocabulary = worker.model().config().d_vocab;
            if let Some(unknown) = ids.iter().find(|id| **id >= vocabulary) {
                return Err(Error::new(ErrorKind::InvalidValue, format!("there is no token {unknown}"))
                    .with_hint(format!("the model's tokens are 0 to {}", vocabulary.saturating_sub(1))));
            }
            let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
            texts.append_value(worker.model().tokenizer().decode(&ids).map_err(from_runtime)?);
        }
        Ok(Arc::new(texts.finish()))
    }
}

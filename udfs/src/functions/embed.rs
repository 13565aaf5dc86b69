//! `embed(text)`: a text's meaning as a vector; and `embedding_model()`, the name of what makes it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, ListBuilder, StringArray};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};

use super::Operation;
use crate::arguments::Arguments;
use crate::library::Models;

#[derive(Debug)]
pub(super) struct Embed;

#[derive(Debug)]
pub(super) struct EmbeddingModel;

#[async_trait]
impl Operation for Embed {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "embed",
            summary: "A text's meaning as a vector, to be compared with <=>",
            parameters: vec![FunctionParameter::required("text", "text", "The text; what is too long is cut")],
            result: arrow::datatypes::DataType::new_list(arrow::datatypes::DataType::Float32, true),
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let texts = (0..arguments.rows()).map(|row| arguments.text("text", row).map(str::to_owned));
        let vectors = models.embed(texts.collect::<Result<_>>()?).await?;
        let mut lists = ListBuilder::new(Float32Builder::new());
        for vector in vectors {
            lists.values().append_slice(&vector);
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()))
    }
}

#[async_trait]
impl Operation for EmbeddingModel {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "embedding_model",
            summary: "Name of the model that embed asks, as explanations.embedding_model records it",
            // The engine tells questions apart by their arguments, so there is one.
            parameters: vec![FunctionParameter::optional(
                "of",
                "text",
                "'explanations'",
                "What is embedded; one model serves all",
            )],
            result: arrow::datatypes::DataType::Utf8,
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let name = models.embedding_model().await?;
        Ok(Arc::new(StringArray::from(vec![name; arguments.rows().max(1)])))
    }
}

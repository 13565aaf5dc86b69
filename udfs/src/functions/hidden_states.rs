//! `hidden_states(model, point, text)`: the model's values at a point, one vector a token.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::Point;
use latentdb_runtime::ops::HiddenStates as Pass;

use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::rows::{fields, list_of, lists, rows_of};

#[derive(Debug)]
pub(super) struct HiddenStates;

fn columns() -> Fields {
    fields(&[("position", DataType::Int32), ("token", DataType::Utf8), ("vector", list_of(DataType::Float32))])
}

#[async_trait]
impl Operation for HiddenStates {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "hidden_states",
            summary: "The vectors at a point of the model, one for each token of a prompt",
            parameters: vec![
                model(),
                FunctionParameter::required("point", "text", "Hook point: blocks.5.hook_resid_post or resid_post.5"),
                text(),
                prepend_bos(),
            ],
            result: rows_of(&columns()),
            gives_rows: true,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut answers = InOrder::new(arguments.rows());
        for rows in arguments.groups("text")? {
            let Some(&first) = rows.first() else { continue };
            let point: Point = arguments.text("point", first)?.parse().map_err(from_runtime)?;
            let worker = models.worker(arguments.text("model", first)?).await?;
            let prompts = tokens(worker.model(), arguments, &rows)?;
            let texts = token_texts(worker.model(), &prompts);
            let found = worker.run(prompts, Pass::new(point)).await.map_err(from_runtime)?;
            answers.put(&rows, texts.into_iter().zip(found));
        }
        encode(answers)
    }
}

fn encode(answers: InOrder<(Vec<String>, Vec<Vec<f32>>)>) -> Result<ArrayRef> {
    let (mut position, mut token) = (Int32Builder::new(), StringBuilder::new());
    let mut vector = ListBuilder::new(Float32Builder::new());
    let mut lengths = Vec::new();
    for (tokens, vectors) in answers.into_answers().map(Option::unwrap_or_default) {
        lengths.push(vectors.len());
        for (place, values) in vectors.into_iter().enumerate() {
            position.append_value(place as i32);
            token.append_option(tokens.get(place));
            vector.values().append_slice(&values);
            vector.append(true);
        }
    }
    let arrays: Vec<ArrayRef> = vec![Arc::new(position.finish()), Arc::new(token.finish()), Arc::new(vector.finish())];
    lists(columns(), arrays, lengths)
}

//! `logits(model, text, …)`: the tokens that the model expects next.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::lens::TokenLogit;
use latentdb_runtime::ops::Logits as Pass;

use super::prompts::{InOrder, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct Logits;

fn columns() -> Fields {
    fields(&[
        ("rank", DataType::Int32),
        ("token_id", DataType::Int32),
        ("token", DataType::Utf8),
        ("logit", DataType::Float32),
        ("probability", DataType::Float32),
    ])
}

#[async_trait]
impl Operation for Logits {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "logits",
            summary: "The tokens that a model expects after a prompt, most likely first",
            parameters: vec![
                model(),
                text(),
                FunctionParameter::optional("top_k", "integer", "10", "How many tokens"),
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
            let worker = models.worker(arguments.text("model", first)?).await?;
            let prompts = tokens(worker.model(), arguments, &rows)?;
            let found = worker.run(prompts, Pass::new(arguments.count("top_k", first)?)).await.map_err(from_runtime)?;
            answers.put(&rows, found.into_iter().map(|found| named(&worker, found)));
        }
        encode(answers)
    }
}

/// Tokens with their texts.
pub(super) fn named(worker: &latentdb_runtime::service::Worker, found: Vec<TokenLogit>) -> Vec<(TokenLogit, String)> {
    let ids: Vec<u32> = found.iter().map(|token| token.token).collect();
    let texts = worker.model().tokenizer().token_texts(&ids);
    found.into_iter().zip(texts).collect()
}

fn encode(answers: InOrder<Vec<(TokenLogit, String)>>) -> Result<ArrayRef> {
    let (mut rank, mut id, mut token) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let (mut logit, mut probability) = (Float32Builder::new(), Float32Builder::new());
    let mut lengths = Vec::new();
    for found in answers.into_answers().map(Option::unwrap_or_default) {
        lengths.push(found.len());
        for (number, (next, text)) in (1i32..).zip(found) {
            rank.append_value(number);
            id.append_value(next.token as i32);
            token.append_value(text);
            logit.append_value(next.logit);
            probability.append_value(next.probability);
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(rank.finish()),
        Arc::new(id.finish()),
        Arc::new(token.finish()),
        Arc::new(logit.finish()),
        Arc::new(probability.finish()),
    ];
    lists(columns(), arrays, lengths)
}

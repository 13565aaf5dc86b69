//! `logit_lens(model, text, …)`: what each layer would say next, at each token.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::{LogitLens as Pass, TokenLogit};

use super::logits::named;
use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct LogitLens;

/// Tokens of the prompt, and for each layer and position the tokens it would say.
type Answer = (Vec<String>, Vec<Vec<Vec<(TokenLogit, String)>>>);

fn columns() -> Fields {
    fields(&[
        ("layer", DataType::Int32),
        ("position", DataType::Int32),
        ("token", DataType::Utf8),
        ("rank", DataType::Int32),
        ("next_token_id", DataType::Int32),
        ("next_token", DataType::Utf8),
        ("logit", DataType::Float32),
        ("probability", DataType::Float32),
    ])
}

#[async_trait]
impl Operation for LogitLens {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "logit_lens",
            summary: "The tokens that each layer's residual stream would give next, at each token of a prompt",
            parameters: vec![
                model(),
                text(),
                FunctionParameter::optional("top_k", "integer", "1", "How many tokens for each layer and position"),
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
            let texts = token_texts(worker.model(), &prompts);
            let pass = Pass::new(worker.model().config().n_layers, arguments.count("top_k", first)?);
            let found = worker.run(prompts, pass).await.map_err(from_runtime)?;
            let name = |layers: Vec<Vec<Vec<TokenLogit>>>| -> Vec<Vec<Vec<(TokenLogit, String)>>> {
                let positions = |at: Vec<Vec<TokenLogit>>| at.into_iter().map(|best| named(&worker, best)).collect();
                layers.into_iter().map(positions).collect()
            };
            answers.put(&rows, texts.into_iter().zip(found.into_iter().map(name)));
        }
        encode(answers)
    }
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut layer, mut position, mut token) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let (mut rank, mut id, mut next) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let (mut logit, mut probability) = (Float32Builder::new(), Float32Builder::new());
    let mut lengths = Vec::new();
    for (tokens, layers) in answers.into_answers().map(Option::unwrap_or_default) {
        let before = rank.len();
        for (number, positions) in (0i32..).zip(layers) {
            for (place, best) in positions.into_iter().enumerate() {
                for (order, (said, text)) in (1i32..).zip(best) {
                    layer.append_value(number);
                    position.append_value(place as i32);
                    token.append_option(tokens.get(place));
                    rank.append_value(order);
                    id.append_value(said.token as i32);
                    next.append_value(text);
                    logit.append_value(said.logit);
                    probability.append_value(said.probability);
                }
            }
        }
        lengths.push(rank.len() - before);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(layer.finish()),
        Arc::new(position.finish()),
        Arc::new(token.finish()),
        Arc::new(rank.finish()),
        Arc::new(id.finish()),
        Arc::new(next.finish()),
        Arc::new(logit.finish()),
        Arc::new(probability.finish()),
    ];
    lists(columns(), arrays, lengths)
}

//! `logit_lens(model, text, …)`: what each layer would say next, at each token; by the Jacobian lens too.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::lens::{PositionReadout, Readout, TokenLogit};
use latentdb_runtime::ops::Lenses as Pass;
use latentdb_runtime::service::Worker;

use super::logits::named;
use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::generation::LensKind;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct LogitLens;

/// What a layer would say at a position.
struct Said {
    layer: usize,
    position: usize,
    token: Option<String>,
    next: Vec<(TokenLogit, String)>,
}

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
                FunctionParameter::optional(
                    "lens",
                    "text",
                    "'logit'",
                    "logit; or jacobian, where a Jacobian lens of the model was added",
                ),
                FunctionParameter::optional(
                    "layers",
                    "integer[]",
                    "NULL",
                    "Layers that are looked at, and the last one; null for all",
                ),
                FunctionParameter::optional(
                    "only_words",
                    "boolean",
                    "false",
                    "Leave out tokens that are no words, but for the last layer's likeliest",
                ),
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
            let kind = kind(arguments.text("lens", first)?)?;
            let lenses = models.lenses(arguments.text("model", first)?, &[kind]).await?;
            let layers = arguments.counts_or_none("layers", first)?.unwrap_or_default();
            let (top_k, only_words) = (arguments.count("top_k", first)?, arguments.flag("only_words", first)?);
            let readout = Readout::new(worker.model().config(), lenses, &layers, top_k, only_words);
            let readout = readout.map_err(from_runtime)?;
            let shown: Vec<usize> = readout.layers().flatten().copied().collect();
            let found = worker.run(prompts, Pass::new(readout)).await.map_err(from_runtime)?;
            let answered = texts.into_iter().zip(found);
            answers.put(&rows, answered.map(|(texts, found)| by_layer(&worker, &shown, &texts, found)));
        }
        encode(answers)
    }
}

fn kind(name: &str) -> Result<LensKind> {
    match name {
        "logit" => Ok(LensKind::LogitLens),
        "jacobian" => Ok(LensKind::JacobianLens),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("there is no lens {name}"))
            .with_hint("there are logit and jacobian")),
    }
}

/// What is read out of a prompt, layer after layer.
fn by_layer(worker: &Worker, layers: &[usize], tokens: &[String], found: Vec<PositionReadout>) -> Vec<Said> {
    let mut said = Vec::new();
    for (position, lenses) in found.into_iter().enumerate() {
        for (layer, next) in layers.iter().zip(lenses.into_iter().flatten()) {
            let token = tokens.get(position).cloned();
            said.push(Said { layer: *layer, position, token, next: named(worker, next) });
        }
    }
    said.sort_by_key(|said| (said.layer, said.position));
    said
}

fn encode(answers: InOrder<Vec<Said>>) -> Result<ArrayRef> {
    let (mut layer, mut position, mut token) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let (mut rank, mut id, mut next) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let (mut logit, mut probability) = (Float32Builder::new(), Float32Builder::new());
    let mut lengths = Vec::new();
    for answer in answers.into_answers().map(Option::unwrap_or_default) {
        let before = rank.len();
        for said in answer {
            for (order, (likely, text)) in (1i32..).zip(said.next) {
                layer.append_value(said.layer as i32);
                position.append_value(said.position as i32);
                token.append_option(said.token.as_ref());
                rank.append_value(order);
                id.append_value(likely.token as i32);
                next.append_value(text);
                logit.append_value(likely.logit);
                probability.append_value(likely.probability);
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

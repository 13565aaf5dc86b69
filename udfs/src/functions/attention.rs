//! `attention(model, text, layer => …, head => …)`: how much each token looks at each token before it.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::{Attention as Pass, AttentionPattern};

use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct Attention;

type Answer = (Vec<String>, Vec<AttentionPattern>);

fn columns() -> Fields {
    fields(&[
        ("head", DataType::Int32),
        ("query_position", DataType::Int32),
        ("query_token", DataType::Utf8),
        ("key_position", DataType::Int32),
        ("key_token", DataType::Utf8),
        ("weight", DataType::Float32),
    ])
}

#[async_trait]
impl Operation for Attention {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "attention",
            summary: "Attention weights: how much each token of a prompt looks at each token up to it",
            parameters: vec![
                model(),
                text(),
                FunctionParameter::required("layer", "integer", "Layer, counted from 0"),
                FunctionParameter::optional("head", "integer", "NULL", "Head, counted from 0; null for every head"),
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
            answers.put(&rows, group(models, arguments, &rows).await?);
        }
        encode(answers)
    }
}

async fn group(models: &Models, arguments: &Arguments, rows: &[usize]) -> Result<Vec<Answer>> {
    let Some(&first) = rows.first() else { return Ok(Vec::new()) };
    let name = arguments.text("model", first)?;
    let worker = models.worker(name).await?;
    let layer = arguments.count("layer", first)?;
    let layers = worker.model().config().n_layers;
    if layer >= layers {
        return Err(Error::new(ErrorKind::InvalidValue, format!("{name} has no layer {layer}"))
            .with_hint(format!("its layers are 0 to {}", layers.saturating_sub(1))));
    }
    let pass = Pass::new(layer, arguments.count_or_none("head", first)?);
    let prompts = tokens(worker.model(), arguments, rows)?;
    let texts = token_texts(worker.model(), &prompts);
    let found = worker.run(prompts, pass).await.map_err(from_runtime)?;
    Ok(texts.into_iter().zip(found).collect())
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut head, mut weight) = (Int32Builder::new(), Float32Builder::new());
    let (mut query, mut query_token) = (Int32Builder::new(), StringBuilder::new());
    let (mut key, mut key_token) = (Int32Builder::new(), StringBuilder::new());
    let mut lengths = Vec::new();
    for (tokens, heads) in answers.into_answers().map(Option::unwrap_or_default) {
        let before = head.len();
        for pattern in heads {
            for (to, row) in pattern.weights.into_iter().enumerate() {
                // What comes later is never looked at.
                for (from, share) in row.into_iter().take(to + 1).enumerate() {
                    head.append_value(pattern.head as i32);
                    query.append_value(to as i32);
                    query_token.append_option(tokens.get(to));
                    key.append_value(from as i32);
                    key_token.append_option(tokens.get(from));
                    weight.append_value(share);
                }
            }
        }
        lengths.push(head.len() - before);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(head.finish()),
        Arc::new(query.finish()),
        Arc::new(query_token.finish()),
        Arc::new(key.finish()),
        Arc::new(key_token.finish()),
        Arc::new(weight.finish()),
    ];
    lists(columns(), arrays, lengths)
}

//! `activate_by_token(model, source, text, …)`: the features that fire most at each token.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::{ActivateByToken as Pass, TokenFeatures};

use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, fold_decoder_norm, ignore_bos, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct ActivateByToken;

/// The tokens of a prompt and the features at each.
type Answer = (Vec<String>, Vec<TokenFeatures>);

fn columns() -> Fields {
    fields(&[
        ("position", DataType::Int32),
        ("token", DataType::Utf8),
        ("rank", DataType::Int32),
        ("index", DataType::Int32),
        ("value", DataType::Float32),
    ])
}

#[async_trait]
impl Operation for ActivateByToken {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "activate_by_token",
            summary: "The features of a source that fire most at each token of a prompt",
            parameters: vec![
                model(),
                FunctionParameter::required("source", "text", "Source id"),
                text(),
                FunctionParameter::optional("top_k", "integer", "5", "How many features for each token"),
                ignore_bos(),
                prepend_bos(),
                fold_decoder_norm(),
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
    let reading = Reading { fold_decoder_norm: arguments.flag("fold_decoder_norm", first)? };
    let worker = models.worker(name).await?;
    let source = models.source(&worker, name, arguments.text("source", first)?, reading).await?;
    let mut pass = Pass::new(source.source, arguments.count("top_k", first)?);
    pass.ignore_bos = arguments.flag("ignore_bos", first)?;
    let prompts = tokens(worker.model(), arguments, rows)?;
    let texts = token_texts(worker.model(), &prompts);
    let found = worker.run(prompts, pass).await.map_err(from_runtime)?;
    Ok(texts.into_iter().zip(found).collect())
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut position, mut token, mut rank) = (Int32Builder::new(), StringBuilder::new(), Int32Builder::new());
    let (mut index, mut value) = (Int32Builder::new(), Float32Builder::new());
    let mut lengths = Vec::new();
    for (tokens, found) in answers.into_answers().map(Option::unwrap_or_default) {
        lengths.push(found.iter().map(|at| at.features.len()).sum());
        for at in found {
            for (number, (feature, activation)) in (1i32..).zip(at.features) {
                position.append_value(at.position as i32);
                token.append_option(tokens.get(at.position));
                rank.append_value(number);
                index.append_value(feature as i32);
                value.append_value(activation);
            }
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(position.finish()),
        Arc::new(token.finish()),
        Arc::new(rank.finish()),
        Arc::new(index.finish()),
        Arc::new(value.finish()),
    ];
    lists(columns(), arrays, lengths)
}

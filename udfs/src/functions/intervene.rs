//! `intervene(model, text, steering, …)`: what a change in the model does to the tokens that it expects.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::Intervene as Both;
use latentdb_runtime::service::Worker;

use super::generation::{steering, steering_options};
use super::prompts::{token_texts, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct Intervene;

fn columns() -> Fields {
    fields(&[
        ("position", DataType::Int32),
        ("token", DataType::Utf8),
        ("next_token_id", DataType::Int32),
        ("next_token", DataType::Utf8),
        ("default_logit", DataType::Float32),
        ("steered_logit", DataType::Float32),
        ("default_probability", DataType::Float32),
        ("steered_probability", DataType::Float32),
    ])
}

/// A token that may come next at a position.
struct Next {
    position: usize,
    token: String,
    id: u32,
    text: String,
    /// Without the change, and with it.
    logits: [f32; 2],
    probabilities: [f32; 2],
}

#[async_trait]
impl Operation for Intervene {
    fn declaration(&self) -> ModelFunction {
        let what = "What is changed, as JSON: [{\"source\": …, \"index\": …, \"method\": \"ablate\"}]";
        let mut parameters = vec![
            model(),
            text(),
            FunctionParameter::required("steering", "text", what),
            FunctionParameter::optional("top_k", "integer", "10", "How many of the likeliest tokens, of either pass"),
            FunctionParameter::optional(
                "positions",
                "integer[]",
                "NULL",
                "Positions of the prompt; null for the last one",
            ),
            FunctionParameter::optional(
                "freeze_attention",
                "boolean",
                "false",
                "Keep the attention weights of the unchanged model",
            ),
            prepend_bos(),
        ];
        parameters.extend(steering_options());
        ModelFunction {
            name: "intervene",
            summary: "What changing features or directions does to the logits, position by position",
            parameters,
            result: rows_of(&columns()),
            gives_rows: true,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut answers = Vec::with_capacity(arguments.rows());
        for row in 0..arguments.rows() {
            answers.push(one(models, arguments, row).await?);
        }
        encode(answers)
    }
}

async fn one(models: &Models, arguments: &Arguments, row: usize) -> Result<Vec<Next>> {
    let name = arguments.text("model", row)?;
    let worker = models.worker(name).await?;
    let prompt = tokens(worker.model(), arguments, &[row])?.pop().unwrap_or_default();
    let interventions = match steering(arguments, row)? {
        Some(steering) => models.interventions(&worker, name, &steering).await?,
        None => Vec::new(),
    };
    let last = prompt.len().saturating_sub(1);
    let mut positions = arguments.counts_or_none("positions", row)?.unwrap_or_else(|| vec![last]);
    positions.sort_unstable();
    positions.dedup();
    let both = Both {
        prompt: prompt.clone(),
        interventions,
        freeze_attention: arguments.flag("freeze_attention", row)?,
        positions: Some(positions.clone()),
    };
    let limits = worker.generation_options().steering;
    let found = worker.alone(move |model| both.run(model, &limits)).await.map_err(from_runtime)?;
    let texts = token_texts(worker.model(), &[prompt]).pop().unwrap_or_default();
    let most = arguments.count("top_k", row)?;
    let mut all = Vec::new();
    for (position, (plain, changed)) in positions.into_iter().zip(found.plain.iter().zip(&found.changed)) {
        let token = texts.get(position).cloned().unwrap_or_default();
        all.extend(likeliest(&worker, (position, token), [plain, changed], most));
    }
    Ok(all)
}

/// The tokens that are among the `most` likeliest of either pass, likeliest with the change first.
fn likeliest(worker: &Worker, at: (usize, String), logits: [&[f32]; 2], most: usize) -> Vec<Next> {
    let totals = logits.map(log_sum_exp);
    let mut ids: Vec<u32> = logits.iter().flat_map(|logits| largest(logits, most)).collect();
    ids.sort_unstable();
    ids.dedup();
    let texts = worker.model().tokenizer().token_texts(&ids);
    let value = |side: usize, id: u32| logits.get(side).and_then(|logits| logits.get(id as usize)).copied();
    let mut found: Vec<Next> = ids
        .into_iter()
        .zip(texts)
        .filter_map(|(id, text)| {
            let logits = [value(0, id)?, value(1, id)?];
            let probabilities = [(logits[0] - totals[0]).exp(), (logits[1] - totals[1]).exp()];
            Some(Next { position: at.0, token: at.1.clone(), id, text, logits, probabilities })
        })
        .collect();
    found.sort_by(|one, other| descending(one.logits[1], other.logits[1]).then(one.id.cmp(&other.id)));
    found
}

fn largest(logits: &[f32], most: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let value = |id: &u32| logits.get(*id as usize).copied().unwrap_or(f32::NEG_INFINITY);
    ids.sort_by(|one, other| descending(value(one), value(other)).then(one.cmp(other)));
    ids.truncate(most);
    ids
}

fn descending(one: f32, other: f32) -> Ordering {
    other.total_cmp(&one)
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    most + logits.iter().map(|logit| (logit - most).exp()).sum::<f32>().ln()
}

fn encode(answers: Vec<Vec<Next>>) -> Result<ArrayRef> {
    let (mut position, mut token) = (Int32Builder::new(), StringBuilder::new());
    let (mut id, mut text) = (Int32Builder::new(), StringBuilder::new());
    let mut logits = [Float32Builder::new(), Float32Builder::new()];
    let mut probabilities = [Float32Builder::new(), Float32Builder::new()];
    let mut lengths = Vec::with_capacity(answers.len());
    for answer in answers {
        lengths.push(answer.len());
        for next in answer {
            position.append_value(next.position as i32);
            token.append_value(next.token);
            id.append_value(next.id as i32);
            text.append_value(next.text);
            for (builder, value) in logits.iter_mut().zip(next.logits) {
                builder.append_value(value);
            }
            for (builder, value) in probabilities.iter_mut().zip(next.probabilities) {
                builder.append_value(value);
            }
        }
    }
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(position.finish()), Arc::new(token.finish()), Arc::new(id.finish()), Arc::new(text.finish())];
    let floats = logits.iter_mut().chain(&mut probabilities);
    arrays.extend(floats.map(|builder| Arc::new(builder.finish()) as ArrayRef));
    lists(columns(), arrays, lengths)
}

//! `activate_feature(feature, text, …)`: a feature's or a vector's value at every token of a prompt, and where it came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::{ActivateFeature as Pass, FeatureValues, Probe};
use latentdb_runtime::service::Worker;

use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, fold_decoder_norm, ignore_bos, prepend_bos, text};
use crate::address::{FeatureAddress, ProbeAddress};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::rows::{fields, lists, rows_of};
use crate::user_vectors::StoredVector;

#[derive(Debug)]
pub(super) struct ActivateFeature;

type Answer = (Vec<String>, FeatureValues);

fn columns() -> Fields {
    fields(&[
        ("position", DataType::Int32),
        ("token", DataType::Utf8),
        ("value", DataType::Float32),
        ("is_max", DataType::Boolean),
        ("dfa_value", DataType::Float32),
        ("dfa_target", DataType::Int32),
    ])
}

#[async_trait]
impl Operation for ActivateFeature {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "activate_feature",
            summary: "A feature's activation at every token of a prompt",
            parameters: vec![
                FunctionParameter::required(
                    "feature",
                    "text",
                    "Address: model/source/index, or vectors/ID of a row of the table vectors",
                ),
                text(),
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
    let reading = Reading { fold_decoder_norm: arguments.flag("fold_decoder_norm", first)? };
    let (worker, probe) = match ProbeAddress::parse(arguments.text("feature", first)?)? {
        ProbeAddress::Feature(address) => feature(models, &address, reading).await?,
        ProbeAddress::Vector(id) => {
            let StoredVector { model, point, components, .. } = models.user_vectors().get(&id).await?;
            (models.worker(&model).await?, Probe::Vector { point, vector: Arc::new(components) })
        }
    };
    let prompts = tokens(worker.model(), arguments, rows)?;
    let texts = token_texts(worker.model(), &prompts);
    let pass = Pass::new(probe, arguments.flag("ignore_bos", first)?);
    let found = worker.run(prompts, pass).await.map_err(from_runtime)?;
    Ok(texts.into_iter().zip(found).collect())
}

/// A feature of a source, with the worker of its model.
async fn feature(models: &Models, address: &FeatureAddress, reading: Reading) -> Result<(Worker, Probe)> {
    let worker = models.worker(&address.model).await?;
    let source = models.source(&worker, &address.model, &address.source, reading).await?;
    let features = source.source.config().d_sae;
    if address.index >= features {
        return Err(Error::new(
            ErrorKind::UndefinedObject,
            format!("{}/{} has no feature {}", address.model, address.source, address.index),
        )
        .with_hint(format!("its features are 0 to {}", features.saturating_sub(1))));
    }
    Ok((worker, Probe::Feature { source: source.source, index: address.index }))
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut position, mut token, mut value) = (Int32Builder::new(), StringBuilder::new(), Float32Builder::new());
    let (mut is_max, mut given, mut target) = (BooleanBuilder::new(), Float32Builder::new(), Int32Builder::new());
    let mut lengths = Vec::new();
    for answer in answers.into_answers() {
        let Some((tokens, found)) = answer else {
            lengths.push(0);
            continue;
        };
        lengths.push(found.values.len());
        let strongest = strongest(&found.values);
        for (number, activation) in found.values.iter().enumerate() {
            let place = number + found.first_position;
            position.append_value(place as i32);
            token.append_option(tokens.get(place));
            value.append_value(*activation);
            is_max.append_value(strongest == Some(number));
            let attribution = found.attribution.as_ref();
            given.append_option(attribution.and_then(|all| all.values.get(number).copied()));
            target.append_option(attribution.map(|all| (all.target + found.first_position) as i32));
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(position.finish()),
        Arc::new(token.finish()),
        Arc::new(value.finish()),
        Arc::new(is_max.finish()),
        Arc::new(given.finish()),
        Arc::new(target.finish()),
    ];
    lists(columns(), arrays, lengths)
}

/// The first position of the largest value, if the feature fires at all.
fn strongest(values: &[f32]) -> Option<usize> {
    let most = values.iter().copied().fold(0.0f32, f32::max);
    (most > 0.0).then(|| values.iter().position(|value| *value == most)).flatten()
}

//! `similar_features(feature, …)`: the features whose decoder directions are nearest.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::nearest_directions;

use super::Operation;
use super::prompts::InOrder;
use crate::address::FeatureAddress;
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct SimilarFeatures;

/// Model, source, and features with their cosines.
type Answer = (String, String, Vec<(u32, f32)>);

fn columns() -> Fields {
    fields(&[
        ("rank", DataType::Int32),
        ("model_id", DataType::Utf8),
        ("source_id", DataType::Utf8),
        ("index", DataType::Int32),
        ("cosine", DataType::Float32),
    ])
}

#[async_trait]
impl Operation for SimilarFeatures {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "similar_features",
            summary: "The features whose decoder directions are most like a feature's, itself left out",
            parameters: vec![
                FunctionParameter::required("feature", "text", "Address: model/source/index"),
                FunctionParameter::optional("k", "integer", "10", "How many"),
                FunctionParameter::optional("source", "text", "NULL", "Source to look in; null for the feature's own"),
            ],
            result: rows_of(&columns()),
            gives_rows: true,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut answers = InOrder::new(arguments.rows());
        for row in 0..arguments.rows() {
            answers.put(&[row], [one(models, arguments, row).await?]);
        }
        encode(answers)
    }
}

async fn one(models: &Models, arguments: &Arguments, row: usize) -> Result<Answer> {
    let address = FeatureAddress::parse(arguments.text("feature", row)?)?;
    let reading = Reading { fold_decoder_norm: true };
    let worker = models.worker(&address.model).await?;
    let own = models.source(&worker, &address.model, &address.source, reading).await?;
    let direction = own.source.decoder_vector(address.index).map_err(from_runtime)?;
    let other = match arguments.text_or_none("source", row)? {
        Some(name) => models.source(&worker, &address.model, name, reading).await?,
        None => own.clone(),
    };
    let k = arguments.count("k", row)?;
    let mut found = nearest_directions(&other.source, &direction, k + 1).map_err(from_runtime)?;
    found.retain(|(index, _)| other.id != own.id || *index as usize != address.index);
    found.truncate(k);
    Ok((address.model, other.id, found))
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut rank, mut model, mut source) = (Int32Builder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut index, mut cosine) = (Int32Builder::new(), Float32Builder::new());
    let mut lengths = Vec::new();
    for (model_id, source_id, found) in answers.into_answers().map(Option::unwrap_or_default) {
        lengths.push(found.len());
        for (number, (feature, value)) in (1i32..).zip(found) {
            rank.append_value(number);
            model.append_value(&model_id);
            source.append_value(&source_id);
            index.append_value(feature as i32);
            cosine.append_value(value);
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(rank.finish()),
        Arc::new(model.finish()),
        Arc::new(source.finish()),
        Arc::new(index.finish()),
        Arc::new(cosine.finish()),
    ];
    lists(columns(), arrays, lengths)
}

//! Addresses of features, `model/source/index`, and what a source's id says of it.
//!
//! A source id is `{layer}-{set}`, perhaps with `__{variant}` behind; `e` stands for the embedding, layer
//! 0; a bare integer is that layer's MLP neurons, whose set is called `neurons`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::Volatility;

use super::Function;
use crate::sql::lateral::{FunctionDefinition, FunctionParameter};

const TEXT: DataType = DataType::Utf8;

pub(super) fn definitions() -> Vec<FunctionDefinition> {
    vec![
        FunctionDefinition {
            scalar: Arc::new(Function::exact(
                "feature_address",
                &[TEXT, TEXT, DataType::Int64],
                TEXT,
                Volatility::Immutable,
                feature_address,
            )),
            summary: "Address of a feature: model/source/index",
            parameters: Cow::Borrowed(
                const {
                    &[
                        FunctionParameter::required("model", "text", "Model id"),
                        FunctionParameter::required("source", "text", "Source id"),
                        FunctionParameter::required("index", "bigint", "Index of the feature, from 0"),
                    ]
                },
            ),
            gives_rows: false,
            result: Cow::Borrowed("text"),
        },
        FunctionDefinition {
            scalar: Arc::new(Function::exact(
                "parse_address",
                &[TEXT],
                DataType::Struct(address_fields()),
                Volatility::Immutable,
                parse_address,
            )),
            summary: "Parts of a feature's address: model_id, source_id, index; null if it is none",
            parameters: Cow::Borrowed(
                const { &[FunctionParameter::required("address", "text", "model/source/index")] },
            ),
            gives_rows: false,
            result: Cow::Borrowed("record"),
        },
        FunctionDefinition {
            scalar: Arc::new(Function::exact(
                "layer_of",
                &[TEXT],
                DataType::Int32,
                Volatility::Immutable,
                |arguments, _| {
                    Ok(Arc::new(texts(arguments)?.iter().map(|id| id.and_then(layer_of)).collect::<Int32Array>()))
                },
            )),
            summary: "Layer that a source reads; null if its id names none",
            parameters: Cow::Borrowed(const { &[FunctionParameter::required("source_id", "text", "Source id")] }),
            gives_rows: false,
            result: Cow::Borrowed("integer"),
        },
        FunctionDefinition {
            scalar: Arc::new(Function::exact("set_of", &[TEXT], TEXT, Volatility::Immutable, |arguments, _| {
                Ok(Arc::new(texts(arguments)?.iter().map(|id| id.map(set_of)).collect::<StringArray>()))
            })),
            summary: "Source set that a source belongs to",
            parameters: Cow::Borrowed(const { &[FunctionParameter::required("source_id", "text", "Source id")] }),
            gives_rows: false,
            result: Cow::Borrowed("text"),
        },
    ]
}

/// The layer in a source id.
pub(crate) fn layer_of(source_id: &str) -> Option<i32> {
    let first = source_id.strip_prefix('-').unwrap_or(source_id);
    let cut = source_id.len() - first.len();
    let layer = match first.find('-') {
        Some(dash) => source_id.get(..dash + cut)?,
        None => source_id,
    };
    if layer == "e" { Some(0) } else { layer.parse().ok() }
}

/// The source set in a source id.
pub(crate) fn set_of(source_id: &str) -> &str {
    if source_id.parse::<i64>().is_ok() {
        return "neurons";
    }
    let set = source_id.split_once('-').map_or(source_id, |(_, set)| set);
    set.split_once("__").map_or(set, |(set, _)| set)
}

fn texts(arguments: &[ArrayRef]) -> Result<StringArray> {
    Ok(super::columns::argument(arguments, 0, &TEXT)?.as_string::<i32>().clone())
}

fn feature_address(arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let models = super::columns::argument(arguments, 0, &TEXT)?;
    let sources = super::columns::argument(arguments, 1, &TEXT)?;
    let indexes = super::columns::argument(arguments, 2, &DataType::Int64)?;
    let (models, sources) = (models.as_string::<i32>(), sources.as_string::<i32>());
    let indexes = indexes.as_primitive::<Int64Type>();
    let addresses = (0..rows).map(|row| {
        let known = models.is_valid(row) && sources.is_valid(row) && indexes.is_valid(row);
        known.then(|| format!("{}/{}/{}", models.value(row), sources.value(row), indexes.value(row)))
    });
    Ok(Arc::new(addresses.collect::<StringArray>()))
}

fn address_fields() -> Fields {
    Fields::from(vec![
        Field::new("model_id", TEXT, true),
        Field::new("source_id", TEXT, true),
        Field::new("index", DataType::Int32, true),
    ])
}

fn parse_address(arguments: &[ArrayRef], _rows: usize) -> Result<ArrayRef> {
    let addresses = texts(arguments)?;
    let parts: Vec<Option<(&str, &str, i32)>> = addresses.iter().map(|address| split_address(address?)).collect();
    let models: StringArray = parts.iter().map(|parts| parts.map(|(model, _, _)| model)).collect();
    let sources: StringArray = parts.iter().map(|parts| parts.map(|(_, source, _)| source)).collect();
    let indexes: Int32Array = parts.iter().map(|parts| parts.map(|(_, _, index)| index)).collect();
    let valid: Vec<bool> = parts.iter().map(Option::is_some).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(models), Arc::new(sources), Arc::new(indexes)];
    Ok(Arc::new(StructArray::try_new(address_fields(), columns, Some(NullBuffer::from(valid)))?))
}

fn split_address(address: &str) -> Option<(&str, &str, i32)> {
    let mut parts = address.trim_matches('/').split('/');
    let (model, source, index) = (parts.next()?, parts.next()?, parts.next()?);
    let complete = parts.next().is_none() && !model.is_empty() && !source.is_empty();
    if complete { Some((model, source, index.parse().ok()?)) } else { None }
}

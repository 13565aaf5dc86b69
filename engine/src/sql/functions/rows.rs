//! Functions that give rows: they return lists of structs, and stand in `FROM`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Float32Builder, Int32Builder, ListArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Int32Type, Int64Type};
use datafusion::error::Result;
use datafusion::functions_nested::range::gen_series_udf;
use datafusion::logical_expr::Volatility;

use super::Function;
use super::columns::{argument, elements, list, list_of, texts};
use crate::sql::lateral::{FunctionDefinition, FunctionParameter};

pub(super) fn definitions() -> Vec<FunctionDefinition> {
    vec![histogram_bars(), top_logits(), token_values(), generate_series(), string_to_table()]
}

/// `struct[]` with the fields of a row.
fn rows_of(fields: &Fields) -> DataType {
    list_of(DataType::Struct(fields.clone()))
}

fn fields(columns: &[(&str, DataType)]) -> Fields {
    columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect()
}

/// Structs and how many of them each row has, as a list.
fn list_array(fields: Fields, columns: Vec<ArrayRef>, lengths: Vec<usize>) -> Result<ArrayRef> {
    let structs = StructArray::try_new(fields.clone(), columns, None)?;
    let element = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
    Ok(Arc::new(ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), Arc::new(structs), None)?))
}

fn histogram_bars() -> FunctionDefinition {
    let columns = fields(&[("bar", DataType::Int32), ("edge", DataType::Float32), ("count", DataType::Float32)]);
    let returns = rows_of(&columns);
    let body = move |arguments: &[ArrayRef], rows: usize| {
        let edges = list(arguments, 0, DataType::Float32)?;
        let counts = list(arguments, 1, DataType::Float32)?;
        let (mut bar, mut edge, mut count) = (Int32Builder::new(), Float32Builder::new(), Float32Builder::new());
        let mut lengths = Vec::with_capacity(rows);
        for row in 0..rows {
            let edges = elements::<Float32Type>(&edges, row);
            let counts = elements::<Float32Type>(&counts, row);
            lengths.push(edges.len().min(counts.len()));
            for (number, (left, height)) in (0i32..).zip(edges.into_iter().zip(counts)) {
                bar.append_value(number);
                edge.append_option(left);
                count.append_option(height);
            }
        }
        let arrays: Vec<ArrayRef> = vec![Arc::new(bar.finish()), Arc::new(edge.finish()), Arc::new(count.finish())];
        list_array(columns.clone(), arrays, lengths)
    };
    FunctionDefinition {
        scalar: Arc::new(Function::any("histogram_bars", &[2], returns, Volatility::Immutable, body)),
        summary: "The bars of a histogram, from the left",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required("edges", "real[]", "Where each bar stands"),
                    FunctionParameter::required("counts", "real[]", "Height of each bar"),
                ]
            },
        ),
        gives_rows: true,
        result: Cow::Borrowed("TABLE(bar integer, edge real, count real)"),
    }
}

fn top_logits() -> FunctionDefinition {
    let columns = fields(&[("rank", DataType::Int32), ("token", DataType::Utf8), ("logit", DataType::Float32)]);
    let returns = rows_of(&columns);
    let body = move |arguments: &[ArrayRef], rows: usize| {
        let tokens = list(arguments, 0, DataType::Utf8)?;
        let logits = list(arguments, 1, DataType::Float32)?;
        let limits = argument(arguments, 2, &DataType::Int64)?;
        let limits = limits.as_primitive::<Int64Type>();
        let (mut rank, mut token, mut logit) = (Int32Builder::new(), StringBuilder::new(), Float32Builder::new());
        let mut lengths = Vec::with_capacity(rows);
        for row in 0..rows {
            let limit = if limits.is_null(row) { usize::MAX } else { limits.value(row).max(0) as usize };
            let before = rank.len();
            let pairs = texts(&tokens, row).into_iter().zip(elements::<Float32Type>(&logits, row));
            for (number, (text, value)) in (1i32..).zip(pairs.take(limit)) {
                rank.append_value(number);
                token.append_option(text);
                logit.append_option(value);
            }
            lengths.push(rank.len() - before);
        }
        let arrays: Vec<ArrayRef> = vec![Arc::new(rank.finish()), Arc::new(token.finish()), Arc::new(logit.finish())];
        list_array(columns.clone(), arrays, lengths)
    };
    FunctionDefinition {
        scalar: Arc::new(Function::any("top_logits", &[3], returns, Volatility::Immutable, body)),
        summary: "The first tokens of a feature's logit table, ranked from 1",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required(
                        "tokens",
                        "text[]",
                        "Tokens, strongest first: top_logit_tokens, bottom_logit_tokens",
                    ),
                    FunctionParameter::required("logits", "real[]", "Their logit weights: top_logits, bottom_logits"),
                    FunctionParameter::optional("k", "integer", "10", "How many; null for all"),
                ]
            },
        ),
        gives_rows: true,
        result: Cow::Borrowed("TABLE(rank integer, token text, logit real)"),
    }
}

fn token_values() -> FunctionDefinition {
    let columns = fields(&[("position", DataType::Int32), ("token", DataType::Utf8), ("value", DataType::Float32)]);
    let returns = rows_of(&columns);
    let body = move |arguments: &[ArrayRef], rows: usize| {
        let tokens = list(arguments, 0, DataType::Utf8)?;
        let positions = list(arguments, 1, DataType::Int32)?;
        let acts = list(arguments, 2, DataType::Float32)?;
        let (mut position, mut token, mut value) = (Int32Builder::new(), StringBuilder::new(), Float32Builder::new());
        let mut lengths = Vec::with_capacity(rows);
        for row in 0..rows {
            let texts = texts(&tokens, row);
            let before = position.len();
            let places = elements::<Int32Type>(&positions, row);
            for (place, act) in places.into_iter().zip(elements::<Float32Type>(&acts, row)) {
                let text = place.and_then(|place| texts.get(usize::try_from(place).ok()?).cloned()).flatten();
                position.append_option(place);
                token.append_option(text);
                value.append_option(act);
            }
            lengths.push(position.len() - before);
        }
        let arrays: Vec<ArrayRef> =
            vec![Arc::new(position.finish()), Arc::new(token.finish()), Arc::new(value.finish())];
        list_array(columns.clone(), arrays, lengths)
    };
    FunctionDefinition {
        scalar: Arc::new(Function::any("token_values", &[3], returns, Volatility::Immutable, body)),
        summary: "The tokens on which an activation is not zero, with their values",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required("tokens", "text[]", "Tokens of the context"),
                    FunctionParameter::required("positions", "integer[]", "Positions of the activation, from 0"),
                    FunctionParameter::required("acts", "real[]", "Activation at each position"),
                ]
            },
        ),
        gives_rows: true,
        result: Cow::Borrowed("TABLE(position integer, token text, value real)"),
    }
}

fn generate_series() -> FunctionDefinition {
    FunctionDefinition {
        scalar: gen_series_udf(),
        summary: "The numbers from start to stop, both included",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required("start", "bigint", "First number"),
                    FunctionParameter::required("stop", "bigint", "Last number"),
                    FunctionParameter::optional("step", "bigint", "1", "Difference; may be negative"),
                ]
            },
        ),
        gives_rows: true,
        result: Cow::Borrowed("SETOF bigint"),
    }
}

fn string_to_table() -> FunctionDefinition {
    let returns = list_of(DataType::Utf8);
    let body = |arguments: &[ArrayRef], rows: usize| {
        let texts = argument(arguments, 0, &DataType::Utf8)?;
        let delimiters = argument(arguments, 1, &DataType::Utf8)?;
        let (texts, delimiters) = (texts.as_string::<i32>(), delimiters.as_string::<i32>());
        let mut builder = arrow::array::ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            if texts.is_null(row) {
                builder.append_null();
                continue;
            }
            let text = texts.value(row);
            // As in Postgres: no delimiter gives characters, an empty one the text as it is.
            match delimiters.is_valid(row).then(|| delimiters.value(row)) {
                _ if text.is_empty() => {}
                None => text.chars().for_each(|letter| builder.values().append_value(letter.to_string())),
                Some("") => builder.values().append_value(text),
                Some(delimiter) => text.split(delimiter).for_each(|part| builder.values().append_value(part)),
            }
            builder.append(true);
        }
        Ok(Arc::new(builder.finish()) as ArrayRef)
    };
    FunctionDefinition {
        scalar: Arc::new(Function::any("string_to_table", &[2], returns, Volatility::Immutable, body)),
        summary: "The parts of a text between delimiters",
        parameters: Cow::Borrowed(
            const {
                &[
                    FunctionParameter::required("string", "text", "Text to cut"),
                    FunctionParameter::required("delimiter", "text", "Where to cut; null for every character"),
                ]
            },
        ),
        gives_rows: true,
        result: Cow::Borrowed("SETOF text"),
    }
}

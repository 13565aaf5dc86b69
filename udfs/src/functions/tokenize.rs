//! `tokenize(model, text)`: a text's tokens.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{ModelFunction, Result, Volatility};
use latentdb_runtime::model::Model;

use super::prompts::{InOrder, tokens};
use super::{Operation, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::library::Models;
use crate::rows::{fields, lists, rows_of};

#[derive(Debug)]
pub(super) struct Tokenize;

fn columns() -> Fields {
    fields(&[
        ("position", DataType::Int32),
        ("token_id", DataType::Int32),
        ("token", DataType::Utf8),
        ("is_special", DataType::Boolean),
    ])
}

#[async_trait]
impl Operation for Tokenize {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "tokenize",
            summary: "The tokens of a text",
            parameters: vec![model(), text(), prepend_bos()],
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
            let ids = tokens(worker.model(), arguments, &rows)?;
            answers.put(&rows, ids.into_iter().map(|ids| tokens_of(worker.model(), ids)));
        }
        encode(answers)
    }
}

/// Id, text, and whether it is a special token.
type Token = (u32, String, bool);

fn tokens_of(model: &Model, ids: Vec<u32>) -> Vec<Token> {
    let tokenizer = model.tokenizer();
    let texts = tokenizer.token_texts(&ids);
    ids.into_iter().zip(texts).map(|(id, text)| (id, text, tokenizer.is_special(id))).collect()
}

fn encode(answers: InOrder<Vec<Token>>) -> Result<ArrayRef> {
    let (mut position, mut id, mut token) = (Int32Builder::new(), Int32Builder::new(), StringBuilder::new());
    let mut is_special = BooleanBuilder::new();
    let mut lengths = Vec::new();
    for tokens in answers.into_answers().map(Option::unwrap_or_default) {
        lengths.push(tokens.len());
        for (number, (value, text, special)) in (0i32..).zip(tokens) {
            position.append_value(number);
            id.append_value(value as i32);
            token.append_value(text);
            is_special.append_value(special);
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(position.finish()),
        Arc::new(id.finish()),
        Arc::new(token.finish()),
        Arc::new(is_special.finish()),
    ];
    lists(columns(), arrays, lengths)
}

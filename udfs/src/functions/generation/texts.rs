//! Generated texts as columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, ListBuilder, StringBuilder};
use arrow::datatypes::DataType;
use latentdb_runtime::model::Model;

use crate::generation::{Completion, FinishReason};
use crate::rows::list_of;

/// A text with its tokens.
#[derive(Debug, Clone)]
pub(super) struct Text {
    text: String,
    tokens: Vec<String>,
    ids: Vec<u32>,
    logprobs: Vec<Option<f32>>,
    reason: &'static str,
}

impl Text {
    pub(super) fn new(model: &Model, completion: Completion) -> Self {
        let ids: Vec<u32> = completion.tokens.iter().map(|token| token.id).collect();
        Self {
            text: completion.text,
            tokens: model.tokenizer().token_texts(&ids),
            ids,
            logprobs: completion.tokens.iter().map(|token| token.logprob).collect(),
            reason: match completion.reason {
                FinishReason::Length => "length",
                FinishReason::Stop(_) | FinishReason::StopString(_) => "stop",
            },
        }
    }
}

/// Names and types of the columns of a text, each with `before` in front.
pub(super) fn columns(before: &str) -> Vec<(String, DataType)> {
    [
        ("text", DataType::Utf8),
        ("tokens", list_of(DataType::Utf8)),
        ("token_ids", list_of(DataType::Int32)),
        ("logprobs", list_of(DataType::Float32)),
        ("finish_reason", DataType::Utf8),
    ]
    .into_iter()
    .map(|(name, data_type)| (format!("{before}{name}"), data_type))
    .collect()
}

/// The columns of some texts.
pub(super) fn arrays(texts: &[Text]) -> Vec<ArrayRef> {
    let (mut text, mut reason) = (StringBuilder::new(), StringBuilder::new());
    let mut tokens = ListBuilder::new(StringBuilder::new());
    let mut ids = ListBuilder::new(Int32Builder::new());
    let mut logprobs = ListBuilder::new(Float32Builder::new());
    for one in texts {
        text.append_value(&one.text);
        tokens.append_value(one.tokens.iter().map(Some));
        ids.append_value(one.ids.iter().map(|id| Some(*id as i32)));
        logprobs.append_value(one.logprobs.iter().copied());
        reason.append_value(one.reason);
    }
    vec![
        Arc::new(text.finish()),
        Arc::new(tokens.finish()),
        Arc::new(ids.finish()),
        Arc::new(logprobs.finish()),
        Arc::new(reason.finish()),
    ]
}

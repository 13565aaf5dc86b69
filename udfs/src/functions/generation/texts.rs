//! Generated texts as columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use latentdb_runtime::model::Model;

use crate::generation::{Completion, FinishReason, Thoughts};
use crate::rows::list_of;

/// A text with its tokens.
#[derive(Debug, Clone)]
pub(super) struct Text {
    text: String,
    /// What was thought before; none if nothing was.
    thinking: Option<String>,
    tokens: Vec<String>,
    ids: Vec<u32>,
    logprobs: Vec<Option<f32>>,
    reason: &'static str,
}

impl Text {
    pub(super) fn new(model: &Model, completion: Completion, mut thoughts: Thoughts) -> Self {
        let ids: Vec<u32> = completion.tokens.iter().map(|token| token.id).collect();
        let (first, last) = (thoughts.push(&completion.text), thoughts.finish());
        Self {
            text: first.answer + &last.answer,
            thinking: thoughts.has_thought().then(|| first.thinking + &last.thinking),
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

/// What was thought before each, as a column.
pub(super) fn thinking(texts: &[Text]) -> ArrayRef {
    Arc::new(texts.iter().map(|text| text.thinking.as_deref()).collect::<StringArray>())
}

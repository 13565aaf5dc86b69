//! Rows of `contexts`, and their ids.

use std::sync::Arc;

use arrow::array::{Int32Builder, Int64Builder, ListBuilder, StringArray, StringBuilder};
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;
use latentdb_engine::schema::ContextKey;
use latentdb_runtime::model::Model;

use super::{Column, batch};
use crate::arguments::internal;
use crate::corpus::Prompt;

/// Ids of the contexts that prompts are.
pub(in crate::dashboards) fn context_ids<'a>(
    model_id: &str,
    model: &Model,
    prompts: impl Iterator<Item = &'a Prompt>,
) -> Result<Vec<i64>> {
    let mut key = ContextKey::new(model_id);
    let mut ids = Vec::new();
    for prompt in prompts {
        key.clear();
        for text in model.tokenizer().token_texts(&prompt.tokens) {
            key.push(&text).map_err(internal)?;
        }
        ids.push(key.id());
    }
    Ok(ids)
}

/// Rows of `contexts`.
pub(in crate::dashboards) fn contexts(
    model_id: &str,
    model: &Model,
    dataset: &str,
    contexts: &[(i64, &Prompt)],
) -> Result<RecordBatch> {
    let (mut id, mut document) = (Int64Builder::new(), Int64Builder::new());
    let (mut tokens, mut ids) = (ListBuilder::new(StringBuilder::new()), ListBuilder::new(Int32Builder::new()));
    for (context, prompt) in contexts {
        id.append_value(*context);
        document.append_value(prompt.document);
        for text in model.tokenizer().token_texts(&prompt.tokens) {
            tokens.values().append_value(text);
        }
        tokens.append(true);
        prompt.tokens.iter().for_each(|token| ids.values().append_value(*token as i32));
        ids.append(true);
    }
    let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, contexts.len())));
    let columns: Vec<Column> = vec![
        ("context_id", Arc::new(id.finish())),
        ("model_id", same(model_id)),
        ("tokens", Arc::new(tokens.finish())),
        ("token_ids", Arc::new(ids.finish())),
        ("dataset", same(dataset)),
        ("document", Arc::new(document.finish())),
    ];
    batch(columns.into_iter())
}

//! `POST /api/tokenize`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::members;
use super::request::unreadable;
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TokenizeRequest {
    prompt: String,
    model_id: String,
    #[serde(default = "yes")]
    prepend_bos: bool,
}

fn yes() -> bool {
    true
}

/// Answers the tokens at top level, where the documentation has them, and under `data`, where Neuronpedia's server puts them.
pub(in crate::http) async fn post_tokenize(
    State(app): State<Arc<App>>,
    request: Result<Json<TokenizeRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let texts = [asked.prompt];
    let found = app.inference.tokens(&asked.model_id, &texts, asked.prepend_bos).await?;
    let rows = found.into_iter().next().unwrap_or_default();
    let answer = json!({
        "tokens": members(&rows, "token_id"),
        "tokenStrings": members(&rows, "token"),
        "prependBos": asked.prepend_bos,
    });
    Ok(Json(wrapped(answer)))
}

/// The answer, and the same under `data`.
pub(super) fn wrapped(mut answer: Value) -> Value {
    let data = answer.clone();
    if let Some(members) = answer.as_object_mut() {
        members.insert("data".to_owned(), data);
        members.insert("response".to_owned(), json!({}));
    }
    answer
}

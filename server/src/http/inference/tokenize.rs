//! `POST /api/tokenize`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::members;
use super::request::unreadable;
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TokenizeRequest {
    #[schema(example = "The iterator returns None")]
    prompt: String,
    #[schema(example = "docs-3m")]
    model_id: String,
    /// Whether the model's BOS token comes first.
    #[serde(default = "yes")]
    #[schema(default = true)]
    prepend_bos: bool,
}

fn yes() -> bool {
    true
}

/// The tokens of a text.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Tokens {
    #[schema(value_type = Vec<u32>)]
    tokens: Vec<Value>,
    #[schema(value_type = Vec<String>)]
    token_strings: Vec<Value>,
    prepend_bos: bool,
}

/// An answer at top level, where Neuronpedia's documentation has it, and under `data`, where its server puts it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Wrapped<T> {
    #[serde(flatten)]
    answer: T,
    data: T,
    response: Empty,
}

/// An object without members.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Empty {}

impl<T: Clone> Wrapped<T> {
    pub(super) fn new(answer: T) -> Self {
        Self { data: answer.clone(), answer, response: Empty {} }
    }
}

/// Tokens of a text.
#[utoipa::path(
    post, path = "/api/tokenize", tag = "Activations", operation_id = "tokenize", request_body = TokenizeRequest,
    responses((status = 200, description = "The tokens", body = Wrapped<Tokens>), ApiError)
)]
pub(in crate::http) async fn post_tokenize(
    State(app): State<Arc<App>>,
    request: Result<Json<TokenizeRequest>, JsonRejection>,
) -> Result<Json<Wrapped<Tokens>>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let texts = [asked.prompt];
    let found = app.inference.tokens(&asked.model_id, &texts, asked.prepend_bos).await?;
    let rows = found.into_iter().next().unwrap_or_default();
    Ok(Json(Wrapped::new(Tokens {
        tokens: members(&rows, "token_id"),
        token_strings: members(&rows, "token"),
        prepend_bos: asked.prepend_bos,
    })))
}

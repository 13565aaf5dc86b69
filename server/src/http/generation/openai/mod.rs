//! OpenAI's API: `/v1/models`, `/v1/completions`, `/v1/chat/completions`, with a field `steering` beside what OpenAI has.

mod answer;
mod error;
mod request;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use latentdb_engine::RepeatedQuery;
use serde_json::{Value, json};

use self::answer::{Kind, answer, stream};
use self::error::OpenAiError;
use self::request::{ChatRequest, CompletionRequest, Wanted};
use super::models;
use crate::http::App;
use crate::http::rows::{member, rows};

/// The models whose weights are here.
pub(in crate::http) async fn get_models(State(app): State<Arc<App>>) -> Result<Json<Value>, OpenAiError> {
    const MODELS: &str = "SELECT model_id FROM models WHERE weights_uri IS NOT NULL ORDER BY model_id";
    let found = RepeatedQuery::new(app.engine.clone(), "http", MODELS).rows(&[]).await?;
    let model =
        |row| json!({ "id": member(&row, "model_id"), "object": "model", "created": 0, "owned_by": "latentdb" });
    let data: Vec<Value> = rows(&found)?.into_iter().map(model).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

pub(in crate::http) async fn post_chat_completions(
    State(app): State<Arc<App>>,
    body: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, OpenAiError> {
    let Json(request) = body.map_err(|rejection| OpenAiError::unreadable(&rejection))?;
    complete(&app, Kind::Chat, request.wanted(app.limits.prompts)?).await
}

pub(in crate::http) async fn post_completions(
    State(app): State<Arc<App>>,
    body: Result<Json<CompletionRequest>, JsonRejection>,
) -> Result<Response, OpenAiError> {
    let Json(request) = body.map_err(|rejection| OpenAiError::unreadable(&rejection))?;
    complete(&app, Kind::Text, request.wanted(app.limits.prompts)?).await
}

/// Begins all texts before it answers, so that what is wrong with a request is an error and no broken stream.
async fn complete(app: &App, kind: Kind, wanted: Wanted) -> Result<Response, OpenAiError> {
    let models = models(app)?;
    let mut begun = Vec::with_capacity(wanted.requests.len());
    for request in &wanted.requests {
        begun.push(models.begin(request).await?);
    }
    if wanted.streams {
        return Ok(stream(kind, wanted, begun).into_response());
    }
    Ok(Json(answer(kind, &wanted, begun).await?).into_response())
}

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
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::answer::{ChatChoice, Kind, TextChoice, Whole, answer, stream};
use self::error::OpenAiError;
pub(in crate::http) use self::error::OpenAiErrorBody;
use self::request::{ChatRequest, CompletionRequest, Wanted};
use super::models;
use crate::http::rows::{member, rows};
use crate::http::{App, Routes};

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(get_models))
        .routes(routes!(post_completions))
        .routes(routes!(post_chat_completions))
}

/// The models that texts can be asked of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModels)]
struct Models {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// A model that texts can be asked of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
struct Model {
    #[schema(value_type = String, example = "docs-3m")]
    id: Value,
    #[schema(example = "model")]
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

/// The models whose weights are here.
#[utoipa::path(
    get, path = "/v1/models", tag = "Completions", operation_id = "models",
    responses((status = 200, description = "The models", body = Models), OpenAiError)
)]
async fn get_models(State(app): State<Arc<App>>) -> Result<Json<Models>, OpenAiError> {
    const MODELS: &str = "SELECT model_id FROM models WHERE weights_uri IS NOT NULL ORDER BY model_id";
    let found = RepeatedQuery::new(app.engine.clone(), "http", MODELS).rows(&[]).await?;
    let model = |row| Model { id: member(&row, "model_id"), object: "model", created: 0, owned_by: "latentdb" };
    Ok(Json(Models { object: "list", data: rows(&found)?.into_iter().map(model).collect() }))
}

/// Answers a conversation, steered if asked. The model needs a chat template.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "Completions", operation_id = "chatCompletions", request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer, or with `stream` its chunks as server-sent events", content(
            (Whole<ChatChoice> = "application/json"),
            (String = "text/event-stream"),
        )),
        OpenAiError,
    )
)]
async fn post_chat_completions(
    State(app): State<Arc<App>>,
    body: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, OpenAiError> {
    let Json(request) = body.map_err(|rejection| OpenAiError::unreadable(&rejection))?;
    complete(&app, Kind::Chat, request.wanted(app.limits.prompts)?).await
}

/// Goes on with a text, steered if asked.
#[utoipa::path(
    post, path = "/v1/completions", tag = "Completions", operation_id = "completions", request_body = CompletionRequest,
    responses(
        (status = 200, description = "The texts, or with `stream` their chunks as server-sent events", content(
            (Whole<TextChoice> = "application/json"),
            (String = "text/event-stream"),
        )),
        OpenAiError,
    )
)]
async fn post_completions(
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

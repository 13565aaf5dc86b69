//! Neuronpedia's `/api/steer`, `/api/steer-chat` and `/api/steer-load`, `/api/steer-logits` and `/api/steer/presets`.
//!
//! The default text and the steered one grow at the same time, in one batch. Streamed answers are server-sent events, each the
//! whole answer so far, as Neuronpedia's are; the last one has the id under which the run is kept.

mod answer;
mod logits;
mod presets;
mod request;
mod run;
mod saved;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use utoipa_axum::routes;

use self::answer::SteerAnswer;
use self::request::{Asked, SteerChatRequest, SteerRequest};
use self::run::Run;
pub(in crate::http) use self::saved::sweep_runs;
use super::{host, read};
use crate::http::error::{ApiError, error_body};
use crate::http::{App, Routes};

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(post_steer))
        .routes(routes!(post_steer_chat))
        .routes(routes!(saved::post_steer_load))
        .routes(routes!(logits::post_steer_logits))
        .routes(routes!(presets::post_presets))
}

/// Grows a text twice, as it is and steered, and keeps the run.
#[utoipa::path(
    post, path = "/api/steer", tag = "Steering", operation_id = "steer", request_body = SteerRequest,
    responses(
        (status = 200, description = "Both texts, or with `stream` the answer as it grows", content(
            (SteerAnswer = "application/json"),
            (String = "text/event-stream"),
        )),
        ApiError,
    )
)]
async fn post_steer(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (request, json) = read::<SteerRequest>(body)?;
    steer(app, &headers, request.asked(json)?).await
}

/// Answers a conversation twice, as it is and steered, and keeps the run.
#[utoipa::path(
    post, path = "/api/steer-chat", tag = "Steering", operation_id = "steerChat", request_body = SteerChatRequest,
    responses(
        (status = 200, description = "Both conversations, or with `stream` the answer as it grows", content(
            (SteerAnswer = "application/json"),
            (String = "text/event-stream"),
        )),
        ApiError,
    )
)]
async fn post_steer_chat(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (request, json) = read::<SteerChatRequest>(body)?;
    steer(app, &headers, request.asked(json)?).await
}

/// Begins both texts before it answers, so that what is wrong with a request is an error and no broken stream.
async fn steer(app: Arc<App>, headers: &HeaderMap, asked: Asked) -> Result<Response, ApiError> {
    let (streams, request) = (asked.streams, asked.json.clone());
    let mut run = Run::begin(super::models(&app)?, asked).await?;
    let host = host(headers).to_owned();
    if !streams {
        while run.advance().await?.is_some() {}
        return Ok(Json(saved::keep(&app, &host, &run, &request).await?).into_response());
    }
    let frames = stream::unfold(Some((run, app, host, request)), |state| async move {
        let (mut run, app, host, request) = state?;
        match run.advance().await {
            Ok(Some(())) => Some((json!(run.answer()), Some((run, app, host, request)))),
            Ok(None) => {
                let last = saved::keep(&app, &host, &run, &request).await;
                Some((last.map_or_else(|error| error_body(&error), |answer| json!(answer)), None))
            }
            Err(error) => Some((error_body(&error), None)),
        }
    });
    let frames = frames.map(|value| Ok::<_, Infallible>(Frame::default().data(value.to_string())));
    Ok(Sse::new(frames).keep_alive(KeepAlive::default()).into_response())
}

//! Neuronpedia's `/api/lens/prompt`: what every layer says at every position of a prompt and of what follows it.
//!
//! The answer is lines of JSON, sent as the model reads: `meta`, `prompt`, a `token` for each position, `done`; or, after what
//! came, `error`. With `"stream": false` the same is one object. A reading can be shared: it is made again here, and kept.

mod frames;
mod glyphs;
mod request;
mod share;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use utoipa_axum::routes;

use self::frames::Frames;
use self::request::LensPromptRequest;
use crate::http::error::ApiError;
use crate::http::{App, Routes};

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(post_lens_prompt))
        .routes(routes!(share::post_lens_share))
        .routes(routes!(share::get_lens_share))
}

/// Reads a prompt, and what the model writes after it, under the logit lens or the Jacobian lens.
#[utoipa::path(
    post, path = "/api/lens/prompt", tag = "Lenses", operation_id = "readUnderLens", request_body = LensPromptRequest,
    responses(
        (status = 200, description = "Lines `meta`, `prompt`, a `token` for each position, and `done`; without `stream` \
            one object with `meta`, `tokens` and `done`", content(
            (String = "application/x-ndjson"),
            (Value = "application/json"),
        )),
        ApiError,
    )
)]
async fn post_lens_prompt(
    State(app): State<Arc<App>>,
    body: Result<Json<LensPromptRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(request) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let streams = request.stream;
    let frames = begin(&app, request).await?;
    if streams {
        return Ok(stream_lines(frames));
    }
    Ok(Json(whole(frames).await?).into_response())
}

async fn begin(app: &App, request: LensPromptRequest) -> Result<Frames, ApiError> {
    let asked = request.asked()?;
    let started = super::models(app)?.begin_lens(&asked.request).await?;
    Ok(Frames::new(&asked, started)?)
}

/// A reading to its end: `meta`, `tokens` and `done`.
async fn whole(mut frames: Frames) -> Result<Value, ApiError> {
    let mut tokens = Vec::new();
    while let Some(more) = frames.next().await? {
        tokens.extend(more);
    }
    let done = tokens.pop();
    Ok(json!({ "meta": frames.meta(), "tokens": tokens, "done": done }))
}

/// A line for each message. Dropping the body ends the reading.
fn stream_lines(frames: Frames) -> Response {
    let first = line(&frames.meta()) + &line(&frames.prompt());
    let rest = stream::unfold(Some(frames), |frames| async move {
        let mut frames = frames?;
        match frames.next().await {
            Ok(Some(messages)) => Some((messages.iter().map(line).collect::<String>(), Some(frames))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(sqlstate = error.sqlstate(), %error, "a reading failed while it was sent");
                Some((line(&json!({ "kind": "error", "error": error.message() })), None))
            }
        }
    });
    let lines = futures::StreamExt::chain(stream::once(async { first }), rest);
    let body = Body::from_stream(futures::StreamExt::map(lines, |lines| Ok::<_, Infallible>(Bytes::from(lines))));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn line(message: &Value) -> String {
    format!("{message}\n")
}

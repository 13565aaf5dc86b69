//! Generated texts over HTTP: Neuronpedia's steering and lenses, and OpenAI's completions with a field `steering`.
//!
//! What always holds: a client that goes away ends its texts; what is streamed and what is answered at once are the same.

mod kept;
mod lens;
mod logprobs;
mod openai;
mod steer;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, header};
use latentdb_engine::{Error, ErrorKind};
use latentdb_udfs::Models;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use self::openai::OpenAiErrorBody;
pub(super) use self::steer::sweep_runs;
use super::error::ApiError;
use super::{App, Routes};

/// The endpoints.
pub(super) fn routes() -> Routes {
    steer::routes().merge(lens::routes()).merge(openai::routes())
}

/// The models, or why there are none.
fn models(app: &App) -> Result<&Models, Error> {
    app.models.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "this server runs no models").with_hint("start it with `latentdb serve`")
    })
}

/// The request, and the JSON that it came as, which is kept with the run.
fn read<T: DeserializeOwned>(body: Result<Json<Value>, JsonRejection>) -> Result<(T, Value), ApiError> {
    let Json(json) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let request = serde_json::from_value(json.clone()).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok((request, json))
}

/// The host that was asked, for links to what is kept.
fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

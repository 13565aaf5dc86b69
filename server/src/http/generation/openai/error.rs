//! Failures as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use latentdb_engine::{Error, ErrorKind};
use serde::Serialize;
use utoipa::openapi::response::{Response as ResponseObject, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

use crate::http::error::status_of;

/// A failure on its way to a client.
#[derive(Debug)]
pub(in crate::http) struct OpenAiError(Box<Error>);

impl OpenAiError {
    pub(super) fn unreadable(rejection: &JsonRejection) -> Self {
        Error::new(ErrorKind::InvalidValue, rejection.body_text()).into()
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidValue, message).into()
    }

    pub(super) fn body(error: &Error) -> OpenAiErrorBody {
        let is_ours = status_of(error.kind()).is_server_error();
        let message = match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        };
        let kind = if is_ours { "server_error" } else { "invalid_request_error" };
        OpenAiErrorBody { error: Reason { message, kind, param: None, code: error.sqlstate() } }
    }
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiError)]
pub(in crate::http) struct OpenAiErrorBody {
    error: Reason,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiErrorReason)]
struct Reason {
    message: String,
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    param: Option<String>,
    /// Postgres' code for this kind of failure.
    code: &'static str,
}

impl IntoResponses for OpenAiError {
    fn responses() -> BTreeMap<String, RefOr<ResponseObject>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(OpenAiErrorBody::name()))).build();
        let response = ResponseBuilder::new()
            .description("A failure; the status says of which kind")
            .content("application/json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

impl From<Error> for OpenAiError {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let status = status_of(self.0.kind());
        if status.is_server_error() {
            tracing::error!(sqlstate = self.0.sqlstate(), error = %self.0, "request failed");
        }
        (status, Json(Self::body(&self.0))).into_response()
    }
}

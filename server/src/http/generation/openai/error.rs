//! Failures as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use latentdb_engine::{Error, ErrorKind};
use serde_json::{Value, json};

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

    pub(super) fn body(error: &Error) -> Value {
        let is_ours = status_of(error.kind()).is_server_error();
        let message = match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        };
        json!({ "error": {
            "message": message,
            "type": if is_ours { "server_error" } else { "invalid_request_error" },
            "param": null,
            "code": error.sqlstate(),
        }})
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

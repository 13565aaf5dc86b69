//! Failures as HTTP answers them: JSON with an HTTP status that fits the engine's error kind.
//!
//! The body is always `{"error", "message", "sqlstate", "hint"}`. `error` and `message` hold the same
//! text, as Neuronpedia's answers do, so that clients that read either one are served.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use latentdb_engine::{Error, ErrorKind};
use serde_json::json;

/// A failure on its way to an HTTP client.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// Boxed, because every handler's `Result` holds it.
    error: Box<Error>,
}

impl ApiError {
    /// An answer with a status of its own, where the kind of the error does not say it all.
    pub(crate) fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error: Box::new(error) }
    }

    /// Something in the address does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Error::new(ErrorKind::UndefinedObject, message))
    }

    /// The request cannot be read.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Error::new(ErrorKind::InvalidValue, message))
    }

    /// The caller must say who they are.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        let error = Error::new(ErrorKind::Permission, message)
            .with_hint("send a key in the header x-api-key; `latentdb key add` makes one");
        Self::new(StatusCode::UNAUTHORIZED, error)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self { status: status_of(error.kind()), error: Box::new(error) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(sqlstate = self.error.sqlstate(), error = %self.error, "request failed");
        }
        let mut response = (self.status, axum::Json(error_body(&self.error))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
        }
        response
    }
}

/// The JSON object that describes `error`.
pub(crate) fn error_body(error: &Error) -> serde_json::Value {
    let mut body = json!({
        "error": error.message(),
        "message": error.message(),
        "sqlstate": error.sqlstate(),
        "hint": error.hint(),
    });
    if let Some(object) = body.as_object_mut() {
        if let Some(detail) = error.detail() {
            object.insert("detail".into(), detail.into());
        }
        if let Some(position) = error.position() {
            object.insert("position".into(), position.into());
        }
    }
    body
}

pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Syntax
        | ErrorKind::UndefinedColumn
        | ErrorKind::UndefinedFunction
        | ErrorKind::Ambiguous
        | ErrorKind::TypeMismatch
        | ErrorKind::InvalidValue
        | ErrorKind::BadInput => StatusCode::BAD_REQUEST,
        ErrorKind::UndefinedTable | ErrorKind::UndefinedObject => StatusCode::NOT_FOUND,
        ErrorKind::Duplicate | ErrorKind::Constraint | ErrorKind::Conflict | ErrorKind::FailedTransaction => {
            StatusCode::CONFLICT
        }
        ErrorKind::ReadOnly | ErrorKind::Permission => StatusCode::FORBIDDEN,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Cancelled => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Resources => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

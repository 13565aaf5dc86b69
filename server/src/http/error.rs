//! Failures as HTTP answers them: JSON with an HTTP status that fits the engine's error kind.
//!
//! The body is always `{"error", "message", "sqlstate", "hint"}`. `error` and `message` hold the same
//! text, as Neuronpedia's answers do, so that clients that read either one are served.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use latentdb_engine::{Error, ErrorKind};
use serde::Serialize;
use utoipa::openapi::response::{Response as ResponseObject, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

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

impl IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<ResponseObject>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
        let response = ResponseBuilder::new()
            .description("A failure; the status says of which kind")
            .content("application/json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

/// Why a request failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// The same as `message`.
    error: String,
    #[schema(example = "table 'nope' not found")]
    message: String,
    /// Postgres' code for this kind of failure.
    #[schema(example = "42P01")]
    sqlstate: &'static str,
    /// What to do about it.
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The character of the statement where the fault is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        Self {
            error: error.message().to_owned(),
            message: error.message().to_owned(),
            sqlstate: error.sqlstate(),
            hint: error.hint().map(str::to_owned),
            detail: error.detail().map(str::to_owned),
            position: error.position(),
        }
    }
}

/// The JSON object that describes `error`.
pub(crate) fn error_body(error: &Error) -> serde_json::Value {
    serde_json::to_value(ErrorBody::from(error)).unwrap_or_default()
}

pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Syntax
        | ErrorKind::UndefinedColumn
        | ErrorKind::UndefinedFunction
        | ErrorKind::Ambiguous
        | ErrorKind::TypeMismatch
        | ErrorKind::InvalidValue
        | ErrorKind::DivisionByZero
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

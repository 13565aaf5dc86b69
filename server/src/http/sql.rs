//! `POST /v1/sql`: one statement in, its rows out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use latentdb_engine::{Error, ErrorKind, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::access::{Caller, check_statement};
use super::error::ApiError;
use super::negotiate::negotiate;
use super::openapi::SqlAnswer;
use super::parameters::read_parameters;
use super::stream::answer_rows;

/// The JSON body of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    /// One statement.
    #[schema(example = "SELECT index, density FROM features WHERE density > $1 LIMIT 3")]
    sql: String,
    /// Values for `$1`, `$2`, …
    #[serde(default)]
    #[schema(example = json!([0.01]))]
    parameters: Vec<Value>,
    /// Stop the statement after so many milliseconds.
    timeout_ms: Option<u64>,
}

/// A statement changed rows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    #[schema(example = "INSERT")]
    command: &'static str,
    /// Rows inserted, updated, deleted or copied.
    rows_affected: u64,
}

/// A statement without rows is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    #[schema(example = "CREATE TABLE")]
    command: &'static str,
    /// A remark for the user.
    notice: Option<String>,
}

/// Runs one statement.
///
/// `Accept` chooses the form of the rows: JSON, one object a line, an Arrow IPC stream, or a Parquet file. They are sent as they are
/// produced; closing the connection stops the statement.
#[utoipa::path(
    post, path = "/v1/sql", tag = "SQL", operation_id = "sql",
    request_body(content((SqlRequest = "application/json"), (String = "text/plain", example = json!("SELECT 1")))),
    responses(
        (status = 200, description = "The rows, or what was done", content(
            (SqlAnswer = "application/json"),
            (String = "application/x-ndjson"),
            (String = "application/vnd.apache.arrow.stream"),
            (String = "application/vnd.apache.parquet"),
        )),
        ApiError,
    )
)]
pub(super) async fn post_sql(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let format = negotiate(&headers)?;
    let request = read_request(&headers, &body.map_err(unreadable_body)?)?;
    let session = app.engine.session(&caller.user);
    if !caller.may_write {
        session.set("default_transaction_read_only", "on")?;
    }
    if let Some(timeout) = request.timeout_ms {
        session.set("statement_timeout", &timeout.to_string())?;
    }
    let mut statements = session.parse(&request.sql)?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(ApiError::bad_request("expected exactly one statement"));
    };
    check_statement(&caller, statement.text())?;
    let prepared = session.prepare(&statement, &[]).await?;
    let parameters = read_parameters(&request.parameters, prepared.parameters())?;
    match session.execute(&prepared, parameters).await? {
        Outcome::Rows { rows, .. } => Ok(answer_rows(session.clone(), rows, format).await?),
        Outcome::Changed { command, rows } => Ok(axum::Json(Changed { command, rows_affected: rows }).into_response()),
        Outcome::Done { command, notice } => Ok(axum::Json(Done { command, notice }).into_response()),
        Outcome::CopyIn(_) | Outcome::CopyOut(_) => {
            Err(Error::new(ErrorKind::Unsupported, "COPY FROM STDIN and COPY TO STDOUT do not work over HTTP")
                .with_hint("use SELECT and the Accept header to read, the Postgres wire to load")
                .into())
        }
    }
}

/// JSON by its content type; anything else is the statement's text, so that `curl -d 'SELECT 1'` works.
fn read_request(headers: &HeaderMap, body: &[u8]) -> Result<SqlRequest, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json")) {
        return serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request(format!("the request body is not a SQL request: {error}")));
    }
    match std::str::from_utf8(body) {
        Ok(sql) => Ok(SqlRequest { sql: sql.to_owned(), parameters: Vec::new(), timeout_ms: None }),
        Err(_) => Err(ApiError::bad_request("the statement is not UTF-8 text")),
    }
}

fn unreadable_body(rejection: BytesRejection) -> ApiError {
    let status = rejection.status();
    let error = Error::new(ErrorKind::InvalidValue, format!("cannot read the request body: {}", rejection.body_text()));
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(status, error.with_hint("the limit is the option http.max_body_bytes"));
    }
    ApiError::new(status, error)
}

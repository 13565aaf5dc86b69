//! Neuronpedia's `/api/lens/share`: readings that are kept, and read again by a link.
//!
//! What is shared is what the model said here: the reading is made again, and no number of the client's is taken.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::request::LensPromptRequest;
use super::{begin, whole};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::generation::{host, kept, read};

const KIND: &str = "lens";
/// Letters of a description at most, as in Neuronpedia.
const LONGEST: usize = 512;

/// A reading, and what is to be kept beside it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LensShareRequest {
    #[serde(flatten)]
    run: LensPromptRequest,
    description: Option<String>,
    /// What the page that shares it wants to find again; at most 64 kB.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    ui_state: Map<String, Value>,
}

/// Where a reading was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct SharedLens {
    id: String,
    /// Its page here.
    #[schema(example = "/lens/0123456789abcdef0123456789abcdef")]
    path: String,
    /// The same, with the host that was asked.
    url: String,
}

/// Reads a prompt under lenses, and keeps what the model said for everybody who has the link.
#[utoipa::path(
    post, path = "/api/lens/share", tag = "Lenses", operation_id = "shareLens", request_body = LensShareRequest,
    responses((status = 200, description = "Where it is", body = SharedLens), ApiError)
)]
pub(in crate::http) async fn post_lens_share(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<SharedLens>, ApiError> {
    let (share, asked) = read::<LensShareRequest>(body)?;
    if share.description.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
        return Err(ApiError::bad_request(format!("description has {LONGEST} letters at most")));
    }
    let ui_state = json!(share.ui_state);
    if ui_state.to_string().len() > 64 << 10 {
        return Err(ApiError::bad_request("uiState has 64 kB at most"));
    }
    let reading = whole(begin(&app, share.run).await?).await?;
    let member = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let model = member("modelId");
    let record = json!({
        "version": 1,
        "kind": if member("chat").is_null() { "completion" } else { "chat" },
        "modelId": model,
        "exportedAt": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        "description": share.description,
        "prompt": member("prompt"),
        "messages": member("chat"),
        "meta": reading.get("meta"),
        "tokens": reading.get("tokens"),
        "done": reading.get("done"),
        "uiState": ui_state,
    });
    let id = kept::new_id();
    kept::keep(&app.engine, &id, KIND, model.as_str().unwrap_or_default(), &asked, &record).await?;
    let path = format!("/lens/{id}");
    Ok(Json(SharedLens { url: format!("{}{path}", host(&headers)), path, id }))
}

/// A reading that was shared.
#[utoipa::path(
    get, path = "/api/lens/share/{id}", tag = "Lenses", operation_id = "sharedLens",
    params(("id" = String, Path, description = "What `/api/lens/share` answered")),
    responses(
        (status = 200, description = "Neuronpedia's export of a reading: `version`, `kind`, `modelId`, `meta`, `tokens`, `prompt` or \
            `messages`, `uiState`", body = Value),
        ApiError,
    )
)]
pub(in crate::http) async fn get_lens_share(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let run = kept::load(&app.engine, &id, &[KIND]).await?;
    let run = run.ok_or_else(|| ApiError::not_found(format!("there is no shared reading {id}")))?;
    Ok(Json(run.response))
}

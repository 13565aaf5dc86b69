//! Runs that are kept, and read again by their ids, until they are too old.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::answer::{Kept, SteerAnswer};
use super::run::Run;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::generation::kept;
use crate::http::rows::execute;

/// How often old runs are looked for.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Deletes runs that are older than they are kept, now and every hour, until `shutdown`.
pub(in crate::http) fn sweep_runs(app: &App, shutdown: &CancellationToken) {
    let Some(kept) = app.limits.runs.filter(|_| !app.engine.is_read_only()) else { return };
    let delete = format!(
        "DELETE FROM saved_runs WHERE kind IN ('steer', 'steer_chat') AND created_at < now() - INTERVAL '{} seconds'",
        kept.as_secs()
    );
    let (engine, shutdown) = (app.engine.clone(), shutdown.clone());
    drop(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SWEEP);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            match execute(&engine, &delete, Vec::new()).await {
                Ok(0) => {}
                Ok(deleted) => tracing::info!(deleted, "old steered runs were deleted"),
                Err(error) => tracing::warn!(%error, "old steered runs could not be deleted"),
            }
        }
    }));
}

/// Keeps a run; the answer with its id and the link that restores it. A database that is open read-only keeps none.
pub(super) async fn keep(app: &App, host: &str, run: &Run, request: &Value) -> Result<SteerAnswer> {
    let answer = run.answer();
    if app.engine.is_read_only() {
        return Ok(answer);
    }
    let id = kept::new_id();
    let share_url = Some(format!("{host}/steer/{id}"));
    let answer = answer.kept(Kept { id: Some(id.clone()), share_url, limit: None });
    kept::keep(&app.engine, &id, run.kind(), &run.model, request, &json!(answer)).await?;
    Ok(answer)
}

/// Which run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LoadRequest {
    steer_output_id: String,
}

/// A run as it was answered, with what was asked beside it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = SteerAnswer)]
pub(in crate::http) struct LoadedRun(Map<String, Value>);

/// A run as it was answered, with what was asked beside it.
#[utoipa::path(
    post, path = "/api/steer-load", tag = "Steering", operation_id = "loadSteering", request_body = LoadRequest,
    responses((status = 200, description = "The run", body = LoadedRun), ApiError)
)]
pub(in crate::http) async fn post_steer_load(
    State(app): State<Arc<App>>,
    body: std::result::Result<Json<LoadRequest>, JsonRejection>,
) -> std::result::Result<Json<LoadedRun>, ApiError> {
    let Json(LoadRequest { steer_output_id: id }) =
        body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let run = kept::load(&app.engine, &id, &["steer", "steer_chat"]).await?;
    let run = run.ok_or_else(|| ApiError::not_found(format!("there is no steering run {id}")))?;
    let mut answer = run.response;
    for (name, asked) in [
        ("inputText", "prompt"),
        ("modelId", "modelId"),
        ("features", "features"),
        ("temperature", "temperature"),
        ("n_tokens", "n_tokens"),
        ("freq_penalty", "freq_penalty"),
        ("seed", "seed"),
        ("strength_multiplier", "strength_multiplier"),
        ("steer_method", "steer_method"),
        ("defaultChatMessages", "defaultChatMessages"),
        ("steeredChatMessages", "steeredChatMessages"),
    ] {
        if let Some(value) = run.request.get(asked) {
            answer.insert(name.to_owned(), value.clone());
        }
    }
    answer.insert("limit".to_owned(), "0".into());
    Ok(Json(LoadedRun(answer)))
}

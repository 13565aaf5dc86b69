//! `POST /api/activation/source`: every feature of a source that a text makes fire, token by token.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::request::{Texts, rounded, unreadable, within};
use super::tokenize::Wrapped;
use super::{Row, by_text, list, member, members};
use crate::http::App;
use crate::http::error::ApiError;

/// Texts of one request.
const MOST_TEXTS: i64 = 4;

/// More features than any source has.
const ALL: i32 = i32::MAX;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SourceRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[schema(example = "3-res")]
    source: String,
    /// Four texts at most.
    #[schema(example = "The iterator returns None")]
    custom_text: Texts,
}

/// Every feature that the texts make fire.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct SourceActivations {
    /// Text by text.
    results: Vec<ActiveFeatures>,
}

/// The features that a text makes fire.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActiveFeatures {
    #[schema(value_type = Vec<String>)]
    tokens: Vec<Value>,
    /// By feature, pairs of a position and the activation there.
    #[schema(value_type = BTreeMap<String, Vec<Vec<f64>>>, example = json!({"17": [[2, 0.531]]}))]
    active_features: BTreeMap<String, Vec<[Value; 2]>>,
}

/// Every feature of a source that a text makes fire, token by token.
#[utoipa::path(
    post, path = "/api/activation/source", tag = "Activations", operation_id = "activationsOfSource",
    request_body = SourceRequest,
    responses((status = 200, description = "The features", body = Wrapped<SourceActivations>), ApiError)
)]
pub(in crate::http) async fn post_activation_source(
    State(app): State<Arc<App>>,
    request: Result<Json<SourceRequest>, JsonRejection>,
) -> Result<Json<Wrapped<SourceActivations>>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let (texts, _) = asked.custom_text.into_list(app.limits.prompts)?;
    within("the number of texts", i64::try_from(texts.len()).unwrap_or(i64::MAX), 1, MOST_TEXTS)?;
    let values = [
        list(&texts),
        ScalarValue::from(asked.model_id.as_str()),
        ScalarValue::from(asked.source.as_str()),
        ScalarValue::from(ALL),
        ScalarValue::from(true),
    ];
    let found = by_text(&app.inference.by_token.rows(&values).await?, texts.len())?;
    let tokens = app.inference.tokens(&asked.model_id, &texts, true).await?;
    let results = found
        .iter()
        .zip(&tokens)
        .map(|(rows, tokens)| ActiveFeatures { tokens: members(tokens, "token"), active_features: active(rows) })
        .collect();
    Ok(Json(Wrapped::new(SourceActivations { results })))
}

/// `{"feature": [[position, activation], …]}`; the first position is left out, whatever its token.
fn active(rows: &[Row]) -> BTreeMap<String, Vec<[Value; 2]>> {
    let mut features: BTreeMap<String, Vec<[Value; 2]>> = BTreeMap::new();
    for row in rows.iter().filter(|row| member(row, "position") != 0) {
        let entry = [member(row, "position"), rounded(&member(row, "value"))];
        features.entry(member(row, "index").to_string()).or_default().push(entry);
    }
    features
}

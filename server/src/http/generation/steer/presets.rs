//! `POST /api/steer/presets`: what a page of steering can begin with, from the database.
//!
//! Features are those whose explanations score highest, or, where nothing is scored, the first that have one and an activation to
//! go by; and the caller's own vectors.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use latentdb_engine::{RepeatedQuery, ScalarValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::access::Caller;
use crate::http::error::ApiError;
use crate::http::rows::{Row, member, rows};

/// A prompt that every model can go on with.
const PROMPT: &str = "I think the most interesting thing about this is";
/// The strength of a feature: this share of its largest activation.
const SHARE: f64 = 1.5;

const MODEL: &str = "SELECT model_id, display_name, instruct FROM models WHERE model_id = $1";
const FEATURES: &str = "\
SELECT e.source_id, e.index, min(e.description) AS description, max(f.max_activation) AS max_activation, max(s.value) AS score \
FROM explanations e JOIN features f ON f.model_id = e.model_id AND f.source_id = e.source_id AND f.index = e.index \
LEFT JOIN explanation_scores s ON s.explanation_id = e.explanation_id \
JOIN sources o ON o.model_id = e.model_id AND o.source_id = e.source_id \
WHERE e.model_id = $1 AND f.max_activation > 0 AND o.weights_uri IS NOT NULL \
GROUP BY e.source_id, e.index ORDER BY score DESC NULLS LAST, e.source_id, e.index LIMIT 12";
const VECTORS: &str = "\
SELECT vector_id, label, default_strength FROM vectors WHERE model_id = $1 AND owner = $2 ORDER BY created_at, vector_id";

/// Which model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct PresetsRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
}

/// What a page of steering can begin with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Presets {
    /// Its `id`, `displayName` and whether it is `instruct`.
    #[schema(value_type = Object)]
    model: Value,
    default_prompt: &'static str,
    #[schema(value_type = Vec<Object>)]
    prompt_presets: Vec<Value>,
    /// Each with a `description` and the `features` that it steers by.
    #[schema(value_type = Vec<Object>)]
    feature_presets: Vec<Value>,
    /// The features of the first preset.
    #[schema(value_type = Vec<Object>)]
    default_selected_features: Value,
}

/// Lists what a page of steering can begin with: features that are well explained, and the caller's vectors.
#[utoipa::path(
    post, path = "/api/steer/presets", tag = "Steering", operation_id = "listSteeringPresets",
    request_body = PresetsRequest,
    responses((status = 200, description = "The presets", body = Presets), ApiError)
)]
pub(in crate::http) async fn post_presets(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<PresetsRequest>, JsonRejection>,
) -> Result<Json<Presets>, ApiError> {
    let Json(PresetsRequest { model_id: model }) =
        body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let find = async |sql: &str, values: &[&str]| {
        let values: Vec<ScalarValue> = values.iter().map(|value| ScalarValue::from(*value)).collect();
        rows(&RepeatedQuery::new(app.engine.clone(), "http", sql).rows(&values).await?)
    };
    let found = find(MODEL, &[&model]).await?.pop();
    let found = found.ok_or_else(|| ApiError::not_found(format!("there is no model {model}")))?;
    let features: Vec<Value> = find(FEATURES, &[&model]).await?.iter().map(|row| of_feature(&model, row)).collect();
    let vectors: Vec<Value> =
        find(VECTORS, &[&model, &caller.user]).await?.iter().map(|row| of_vector(&model, row)).collect();
    let selected = features.first().or(vectors.first()).and_then(|preset| preset.get("features")).cloned();
    Ok(Json(Presets {
        model: json!({
            "id": member(&found, "model_id"),
            "displayName": member(&found, "display_name"),
            "instruct": member(&found, "instruct"),
        }),
        default_prompt: PROMPT,
        prompt_presets: Vec::new(),
        feature_presets: vectors.into_iter().chain(features).collect(),
        default_selected_features: selected.unwrap_or_else(|| json!([])),
    }))
}

fn of_feature(model: &str, row: &Row) -> Value {
    let strength = member(row, "max_activation").as_f64().unwrap_or_default() * SHARE;
    json!({
        "description": member(row, "description"),
        "isUserVector": false,
        "exampleSteerOutputId": null,
        "score": member(row, "score"),
        "features": [{
            "modelId": model,
            "layer": member(row, "source_id"),
            "index": member(row, "index"),
            "explanation": member(row, "description"),
            "strength": (strength * 10.0).round() / 10.0,
            "hasVector": false,
        }],
    })
}

fn of_vector(model: &str, row: &Row) -> Value {
    json!({
        "description": member(row, "label"),
        "isUserVector": true,
        "exampleSteerOutputId": null,
        "features": [{
            "modelId": model,
            "layer": "vectors",
            "index": member(row, "vector_id"),
            "explanation": member(row, "label"),
            "strength": member(row, "default_strength").as_f64().unwrap_or(10.0),
            "hasVector": true,
        }],
    })
}

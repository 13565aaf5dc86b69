//! `POST /api/activation/source`: every feature of a source that a text makes fire, token by token.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Texts, rounded, unreadable, within};
use super::tokenize::wrapped;
use super::{Row, by_text, list, member, members};
use crate::http::App;
use crate::http::error::ApiError;

/// Texts of one request.
const MOST_TEXTS: i64 = 4;

/// More features than any source has.
const ALL: i32 = i32::MAX;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SourceRequest {
    model_id: String,
    source: String,
    custom_text: Texts,
}

pub(in crate::http) async fn post_activation_source(
    State(app): State<Arc<App>>,
    request: Result<Json<SourceRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
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
    let results: Vec<Value> = found
        .iter()
        .zip(&tokens)
        .map(|(rows, tokens)| json!({ "tokens": members(tokens, "token"), "activeFeatures": active(rows) }))
        .collect();
    Ok(Json(wrapped(json!({ "results": results }))))
}

/// `{"feature": [[position, activation], …]}`; the first position is left out, whatever its token.
fn active(rows: &[Row]) -> BTreeMap<String, Vec<Value>> {
    let mut features: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows.iter().filter(|row| member(row, "position") != 0) {
        let entry = json!([member(row, "position"), rounded(&member(row, "value"))]);
        features.entry(member(row, "index").to_string()).or_default().push(entry);
    }
    features
}

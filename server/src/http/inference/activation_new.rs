//! `POST /api/activation/new`: one feature on a text.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::attribution::Attribution;
use super::request::{Index, OneOrMany, Texts, unreadable};
use super::{Row, by_text, list, member, members, number};
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ActivationRequest {
    #[serde(alias = "neuron")]
    feature: FeatureName,
    #[schema(example = "The iterator returns None")]
    custom_text: Texts,
    /// Whether a special first token is left out.
    #[serde(default)]
    ignore_bos: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeatureName {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[serde(alias = "layer")]
    #[schema(example = "3-res")]
    source: String,
    #[schema(example = "17")]
    index: Index,
}

/// A feature's values on a text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TextActivation {
    #[schema(value_type = Vec<String>)]
    tokens: Vec<Value>,
    /// One for each token.
    #[schema(value_type = Vec<f64>)]
    values: Vec<Value>,
    max_value: f64,
    min_value: f64,
    max_value_token_index: usize,
    model_id: String,
    layer: String,
    index: String,
    creator_id: &'static str,
    data_index: Option<String>,
    data_source: &'static str,
    created_at: Option<String>,
    #[serde(flatten)]
    attribution: Attribution,
}

/// One feature on a text.
#[utoipa::path(
    post, path = "/api/activation/new", tag = "Activations", operation_id = "activationOfFeature",
    request_body = ActivationRequest,
    responses((status = 200, description = "The feature's values", body = OneOrMany<TextActivation>), ApiError)
)]
pub(in crate::http) async fn post_activation_new(
    State(app): State<Arc<App>>,
    request: Result<Json<ActivationRequest>, JsonRejection>,
) -> Result<Json<OneOrMany<TextActivation>>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let (texts, is_list) = asked.custom_text.into_list(app.limits.prompts)?;
    let FeatureName { model_id, source, index } = &asked.feature;
    let values = [list(&texts), ScalarValue::from(format!("{model_id}/{source}/{index}"))];
    let found = by_text(&app.inference.feature.rows(&values).await?, texts.len())?;
    let specials = app.inference.tokens(model_id, &texts, true).await?;
    let answers = found
        .iter()
        .zip(&specials)
        .map(|(rows, tokens)| answer(&asked.feature, without_special(rows, tokens, asked.ignore_bos)));
    Ok(Json(OneOrMany::of(answers, is_list)))
}

/// Leaves out the first position if it is asked for and its token is a special one.
fn without_special<'a>(rows: &'a [Row], tokens: &[Row], ignore_bos: bool) -> &'a [Row] {
    let first = rows.first().and_then(|row| member(row, "position").as_u64());
    let token = first.and_then(|position| tokens.get(usize::try_from(position).ok()?));
    let is_special = token.is_some_and(|token| member(token, "is_special") == Value::Bool(true));
    if ignore_bos && is_special { rows.get(1..).unwrap_or_default() } else { rows }
}

fn answer(feature: &FeatureName, rows: &[Row]) -> TextActivation {
    let values: Vec<f64> = rows.iter().map(|row| number(row, "value")).collect();
    let strongest = values.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (position, value)| match best {
        Some((_, most)) if *value <= most => best,
        _ => Some((position, *value)),
    });
    let (at, most) = strongest.unwrap_or_default();
    TextActivation {
        tokens: members(rows, "token"),
        values: members(rows, "value"),
        max_value: most,
        min_value: values.iter().copied().fold(most, f64::min),
        max_value_token_index: at,
        model_id: feature.model_id.clone(),
        layer: feature.source.clone(),
        index: feature.index.to_string(),
        creator_id: "",
        data_index: None,
        data_source: "LatentDB",
        created_at: None,
        attribution: attribution(members(rows, "dfa_value"), at),
    }
}

/// What each position gave to the value at `target`; nothing if none is known to.
fn attribution(given: Vec<Value>, target: usize) -> Attribution {
    if given.iter().all(Value::is_null) {
        return Attribution::default();
    }
    let most = given.iter().filter_map(Value::as_f64).fold(f64::NEG_INFINITY, f64::max);
    Attribution { dfa_values: Some(given), dfa_target_index: Some(target.into()), dfa_max_value: Some(most) }
}

//! `POST /api/search-all`: the features of a source set that a text makes fire most.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::attribution::Attribution;
use super::request::{OneOrResults, Texts, unreadable, within};
use super::{Row, by_text, list, member, members, number, numbers, rows};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::openapi::Feature;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SearchRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[schema(example = "res")]
    source_set: String,
    #[schema(example = "The iterator returns None")]
    text: Texts,
    /// Sources of the set; all of them if there are none.
    #[serde(default)]
    #[schema(example = json!(["3-res"]))]
    selected_layers: Vec<String>,
    /// Positions whose activations features are sorted by; all of them if there are none.
    #[serde(default)]
    sort_indexes: Vec<i32>,
    #[serde(default)]
    ignore_bos: bool,
    #[serde(default = "fifty")]
    #[schema(default = 50, minimum = 1, maximum = 100)]
    num_results: i64,
    /// Features that are denser are left out; 0 and less leaves out none. For a single text.
    #[serde(default = "off")]
    #[schema(default = -1.0)]
    density_threshold: f64,
}

fn fifty() -> i64 {
    50
}

fn off() -> f64 {
    -1.0
}

/// The features that a text makes fire most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TextFeatures {
    #[schema(value_type = Vec<String>)]
    tokens: Vec<Value>,
    result: Vec<FiringFeature>,
    sort_indexes: Vec<i32>,
}

/// A feature on a text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FiringFeature {
    #[schema(value_type = String)]
    model_id: Value,
    #[schema(value_type = String)]
    layer: Value,
    index: String,
    #[schema(value_type = f64)]
    max_value: Value,
    #[schema(value_type = u32)]
    max_value_index: Value,
    #[schema(value_type = Option<f64>)]
    sum_values: Value,
    /// One for each token.
    #[schema(value_type = Vec<f64>)]
    values: Value,
    #[serde(flatten)]
    attribution: Attribution,
    /// What the database has on the feature, with its strongest activation alone. For a single text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Feature>)]
    neuron: Option<Value>,
}

/// The features of a source set that a text makes fire most.
#[utoipa::path(
    post, path = "/api/search-all", tag = "Activations", operation_id = "searchByText", request_body = SearchRequest,
    responses((status = 200, description = "The features, strongest first", body = OneOrResults<TextFeatures>), ApiError)
)]
pub(in crate::http) async fn post_search_all(
    State(app): State<Arc<App>>,
    request: Result<Json<SearchRequest>, JsonRejection>,
) -> Result<Json<OneOrResults<TextFeatures>>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let most = within("numResults", asked.num_results, 1, 100)?;
    let (texts, is_list) = asked.text.clone().into_list(app.limits.prompts)?;
    let sources =
        if asked.selected_layers.is_empty() { asked.source_set.clone() } else { asked.selected_layers.join(",") };
    let mut values =
        vec![list(&texts), asked.model_id.as_str().into(), sources.into(), most.into(), asked.ignore_bos.into()];
    let found = if asked.sort_indexes.is_empty() {
        app.inference.activate.rows(&values).await?
    } else {
        values.push(numbers(asked.sort_indexes.iter().copied()));
        app.inference.activate_at.rows(&values).await?
    };
    let found = by_text(&found, texts.len())?;
    let tokens = app.inference.tokens(&asked.model_id, &texts, true).await?;
    let mut answers = Vec::with_capacity(texts.len());
    for ((rows, tokens), text) in found.iter().zip(&tokens).zip(&texts) {
        let model = asked.model_id.as_str();
        let mut given = app.inference.attribute(model, text, asked.ignore_bos, tokens.len(), rows).await?;
        let firing = |(place, row): (usize, &Row)| firing(row, given.remove(&place).unwrap_or_default());
        let mut result: Vec<FiringFeature> = rows.iter().enumerate().map(firing).collect();
        if !is_list {
            result = with_features(&app, &asked, rows, result).await?;
        }
        let sort_indexes = asked.sort_indexes.clone();
        answers.push(TextFeatures { tokens: members(tokens, "token"), result, sort_indexes });
    }
    Ok(Json(OneOrResults::of(answers, is_list)))
}

fn firing(row: &Row, attribution: Attribution) -> FiringFeature {
    FiringFeature {
        model_id: member(row, "model_id"),
        layer: member(row, "source_id"),
        index: member(row, "index").to_string(),
        max_value: member(row, "max_value"),
        max_value_index: member(row, "max_position"),
        sum_values: member(row, "sum_value"),
        values: member(row, "acts"),
        attribution,
        neuron: None,
    }
}

/// The answers of a single text, with what the database has on each feature; those denser than the threshold are left out.
async fn with_features(
    app: &App,
    asked: &SearchRequest,
    found: &[Row],
    firing: Vec<FiringFeature>,
) -> Result<Vec<FiringFeature>, ApiError> {
    let threshold = Some(asked.density_threshold).filter(|threshold| *threshold > 0.0);
    let densities = densities(app, &asked.model_id, found).await?;
    let mut answers = Vec::with_capacity(found.len());
    for (row, mut answer) in found.iter().zip(firing) {
        let source = member(row, "source_id").as_str().unwrap_or_default().to_owned();
        let index = number(row, "index") as i32;
        let density = densities.get(&(source.clone(), index)).copied();
        if threshold.is_some_and(|threshold| density.is_some_and(|density| density > threshold)) {
            continue;
        }
        answer.neuron = feature(app, &asked.model_id, &source, index).await?;
        answers.push(answer);
    }
    Ok(answers)
}

/// A feature's record with its strongest activation alone.
async fn feature(app: &App, model: &str, source: &str, index: i32) -> Result<Option<Value>, ApiError> {
    let Some(text) = app.features.read(model, source, index).await? else { return Ok(None) };
    let mut record: Value = serde_json::from_slice(&text).unwrap_or_default();
    if let Some(activations) = record.get_mut("activations").and_then(Value::as_array_mut) {
        activations.truncate(1);
    }
    Ok(Some(record))
}

async fn densities(app: &App, model: &str, found: &[Row]) -> Result<HashMap<(String, i32), f64>, ApiError> {
    let mut by_source: HashMap<String, Vec<i32>> = HashMap::new();
    for row in found {
        let source = member(row, "source_id").as_str().unwrap_or_default().to_owned();
        by_source.entry(source).or_default().push(number(row, "index") as i32);
    }
    let mut densities = HashMap::new();
    for (source, indices) in by_source {
        let key = [ScalarValue::from(model), ScalarValue::from(source.as_str()), numbers(indices)];
        for row in rows(&app.inference.densities.rows(&key).await?)? {
            if let Some(density) = member(&row, "density").as_f64() {
                densities.insert((source.clone(), number(&row, "index") as i32), density);
            }
        }
    }
    Ok(densities)
}

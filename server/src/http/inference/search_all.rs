//! `POST /api/search-all`: the features of a source set that a text makes fire most.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Texts, unreadable, within};
use super::{Row, by_text, list, member, number, numbers, rows};
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SearchRequest {
    model_id: String,
    source_set: String,
    text: Texts,
    #[serde(default)]
    selected_layers: Vec<String>,
    #[serde(default)]
    sort_indexes: Vec<i32>,
    #[serde(default)]
    ignore_bos: bool,
    #[serde(default = "fifty")]
    num_results: i64,
    #[serde(default = "off")]
    density_threshold: f64,
}

fn fifty() -> i64 {
    50
}

fn off() -> f64 {
    -1.0
}

pub(in crate::http) async fn post_search_all(
    State(app): State<Arc<App>>,
    request: Result<Json<SearchRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
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
        let mut result: Vec<Value> = rows.iter().map(activation).collect();
        let model = asked.model_id.as_str();
        app.inference.attribute(model, text, asked.ignore_bos, tokens.len(), rows, &mut result).await?;
        if !is_list {
            result = with_features(&app, &asked, rows, result).await?;
        }
        let texts: Vec<Value> = tokens.iter().map(|token| member(token, "token")).collect();
        answers.push(json!({ "tokens": texts, "result": result, "sortIndexes": asked.sort_indexes }));
    }
    Ok(Json(if is_list { json!({ "results": answers }) } else { answers.into_iter().next().unwrap_or_default() }))
}

fn activation(row: &Row) -> Value {
    json!({
        "modelId": member(row, "model_id"),
        "layer": member(row, "source_id"),
        "index": member(row, "index").to_string(),
        "maxValue": member(row, "max_value"),
        "maxValueIndex": member(row, "max_position"),
        "sumValues": member(row, "sum_value"),
        "values": member(row, "acts"),
    })
}

/// The answers of a single text, with what the database has on each feature; those denser than the threshold are left out.
async fn with_features(
    app: &App,
    asked: &SearchRequest,
    found: &[Row],
    activations: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let threshold = Some(asked.density_threshold).filter(|threshold| *threshold > 0.0);
    let densities = densities(app, &asked.model_id, found).await?;
    let mut answers = Vec::with_capacity(found.len());
    for (row, mut answer) in found.iter().zip(activations) {
        let source = member(row, "source_id").as_str().unwrap_or_default().to_owned();
        let index = number(row, "index") as i32;
        let density = densities.get(&(source.clone(), index)).copied();
        if threshold.is_some_and(|threshold| density.is_some_and(|density| density > threshold)) {
            continue;
        }
        if let (Some(record), Some(members)) =
            (feature(app, &asked.model_id, &source, index).await?, answer.as_object_mut())
        {
            members.insert("neuron".to_owned(), record);
        }
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

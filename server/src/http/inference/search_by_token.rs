//! `POST /api/search-topk-by-token`: the features that fire most at each token of a text.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Texts, unreadable, within};
use super::{Row, by_text, list, member, numbers, rows};
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ByTokenRequest {
    model_id: String,
    source: String,
    text: Texts,
    #[serde(default = "ten")]
    num_results: i64,
    #[serde(default = "yes")]
    ignore_bos: bool,
    #[serde(default = "hundredth")]
    density_threshold: f64,
}

fn ten() -> i64 {
    10
}

fn yes() -> bool {
    true
}

fn hundredth() -> f64 {
    0.01
}

pub(in crate::http) async fn post_search_by_token(
    State(app): State<Arc<App>>,
    request: Result<Json<ByTokenRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let most = within("numResults", asked.num_results, 1, 20)?;
    let (texts, is_list) = asked.text.into_list(app.limits.prompts)?;
    let (model, source) = (asked.model_id.as_str(), asked.source.as_str());
    let values = [list(&texts), model.into(), source.into(), most.into(), asked.ignore_bos.into()];
    let found = by_text(&app.inference.by_token.rows(&values).await?, texts.len())?;
    let tokens = app.inference.tokens(model, &texts, true).await?;
    let known = if is_list { HashMap::new() } else { known_features(&app, model, source, &found).await? };
    let answers: Vec<Value> = found
        .iter()
        .zip(&tokens)
        .map(|(rows, tokens)| {
            let answered = if is_list {
                every_token(rows, tokens)
            } else {
                let threshold = Some(asked.density_threshold).filter(|threshold| *threshold > 0.0);
                plain_tokens(every_token(rows, tokens), asked.ignore_bos, threshold, &known)
            };
            json!({ "source": source, "results": answered })
        })
        .collect();
    Ok(Json(if is_list { json!({ "results": answers }) } else { answers.into_iter().next().unwrap_or_default() }))
}

/// A position for each token, with the features that fire there.
fn every_token(rows: &[Row], tokens: &[Row]) -> Vec<Value> {
    let at = |position: &Value| -> Vec<Value> {
        let here = rows.iter().filter(|row| member(row, "position") == *position);
        here.map(|row| json!({ "featureIndex": member(row, "index"), "activationValue": member(row, "value") }))
            .collect()
    };
    let answer = |token: &Row| {
        let position = member(token, "position");
        json!({
            "position": position,
            "token": member(token, "token"),
            "isSpecial": member(token, "is_special"),
            "topFeatures": at(&position),
        })
    };
    tokens.iter().map(answer).collect()
}

/// What the database says of a feature.
struct Known {
    density: Option<f64>,
    record: Value,
}

/// The positions of a single text as the page shows them: without special tokens, features with what they are said to mean,
/// dense ones left out.
fn plain_tokens(
    mut positions: Vec<Value>,
    ignore_bos: bool,
    threshold: Option<f64>,
    known: &HashMap<i64, Known>,
) -> Vec<Value> {
    positions.retain(|position| !ignore_bos || position.get("isSpecial") != Some(&Value::Bool(true)));
    for position in &mut positions {
        let Some(features) = position.get_mut("topFeatures").and_then(Value::as_array_mut) else { continue };
        let of =
            |feature: &Value| feature.get("featureIndex").and_then(Value::as_i64).and_then(|index| known.get(&index));
        if let Some(threshold) = threshold {
            features.retain(|feature| {
                of(feature).and_then(|known| known.density).is_some_and(|density| density <= threshold)
            });
        }
        for feature in features {
            let record = of(feature).map(|known| known.record.clone());
            if let (Some(record), Some(members)) = (record, feature.as_object_mut()) {
                members.insert("feature".to_owned(), record);
            }
        }
    }
    positions
}

async fn known_features(
    app: &App,
    model: &str,
    source: &str,
    found: &[Vec<Row>],
) -> Result<HashMap<i64, Known>, ApiError> {
    let mut indices: Vec<i64> = found.iter().flatten().filter_map(|row| member(row, "index").as_i64()).collect();
    indices.sort_unstable();
    indices.dedup();
    let asked = numbers(indices.iter().filter_map(|index| i32::try_from(*index).ok()));
    let key = [ScalarValue::from(model), ScalarValue::from(source), asked];
    let mut explained: HashMap<i64, Vec<Value>> = HashMap::new();
    for row in rows(&app.inference.explanations.rows(&key).await?)? {
        let index = member(&row, "index").as_i64().unwrap_or_default();
        let of_feature = explained.entry(index).or_default();
        if of_feature.is_empty() {
            let explanation = json!({
                "description": member(&row, "description"),
                "typeName": member(&row, "method"),
                "explanationModelName": member(&row, "explainer_model"),
            });
            of_feature.push(explanation);
        }
    }
    let mut known = HashMap::new();
    for row in rows(&app.inference.densities.rows(&key).await?)? {
        let Some(index) = member(&row, "index").as_i64() else { continue };
        let density = member(&row, "density").as_f64();
        let record = json!({
            "modelId": model,
            "layer": source,
            "index": index.to_string(),
            "frac_nonzero": density,
            "explanations": explained.remove(&index).unwrap_or_default(),
        });
        known.insert(index, Known { density, record });
    }
    Ok(known)
}

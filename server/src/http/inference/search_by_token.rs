//! `POST /api/search-topk-by-token`: the features that fire most at each token of a text.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::request::{OneOrResults, Texts, unreadable, within};
use super::{Row, by_text, list, member, numbers, rows};
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ByTokenRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[schema(example = "3-res")]
    source: String,
    #[schema(example = "The iterator returns None")]
    text: Texts,
    /// Features of each token at most.
    #[serde(default = "ten")]
    #[schema(default = 10, minimum = 1, maximum = 20)]
    num_results: i64,
    #[serde(default = "yes")]
    #[schema(default = true)]
    ignore_bos: bool,
    /// Features that are denser are left out; 0 and less leaves out none. For a single text.
    #[serde(default = "hundredth")]
    #[schema(default = 0.01)]
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

/// The features that fire most at each token of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct FeaturesByToken {
    source: String,
    results: Vec<TokenFeatures>,
}

/// A token, with the features that fire there most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenFeatures {
    #[schema(value_type = u32)]
    position: Value,
    #[schema(value_type = String)]
    token: Value,
    #[schema(value_type = bool)]
    is_special: Value,
    top_features: Vec<TokenFeature>,
}

/// A feature at a token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenFeature {
    #[schema(value_type = u32)]
    feature_index: Value,
    #[schema(value_type = f64)]
    activation_value: Value,
    /// For a single text.
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<FeatureRecord>,
}

/// What the database says of a feature, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct FeatureRecord {
    #[serde(rename = "modelId")]
    model_id: String,
    layer: String,
    index: String,
    frac_nonzero: Option<f64>,
    /// The newest that no person wrote, if there is one.
    explanations: Vec<ShortExplanation>,
}

/// What a feature is said to mean.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ShortExplanation {
    #[schema(value_type = String)]
    description: Value,
    #[schema(value_type = Option<String>)]
    type_name: Value,
    #[schema(value_type = Option<String>)]
    explanation_model_name: Value,
}

/// The features that fire most at each token of a text.
#[utoipa::path(
    post, path = "/api/search-topk-by-token", tag = "Activations", operation_id = "searchByToken",
    request_body = ByTokenRequest,
    responses((status = 200, description = "Token by token", body = OneOrResults<FeaturesByToken>), ApiError)
)]
pub(in crate::http) async fn post_search_by_token(
    State(app): State<Arc<App>>,
    request: Result<Json<ByTokenRequest>, JsonRejection>,
) -> Result<Json<OneOrResults<FeaturesByToken>>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let most = within("numResults", asked.num_results, 1, 20)?;
    let (texts, is_list) = asked.text.into_list(app.limits.prompts)?;
    let (model, source) = (asked.model_id.as_str(), asked.source.as_str());
    let values = [list(&texts), model.into(), source.into(), most.into(), asked.ignore_bos.into()];
    let found = by_text(&app.inference.by_token.rows(&values).await?, texts.len())?;
    let tokens = app.inference.tokens(model, &texts, true).await?;
    let known = if is_list { HashMap::new() } else { known_features(&app, model, source, &found).await? };
    let answers = found.iter().zip(&tokens).map(|(rows, tokens)| {
        let mut results = every_token(rows, tokens);
        if !is_list {
            let threshold = Some(asked.density_threshold).filter(|threshold| *threshold > 0.0);
            plain_tokens(&mut results, asked.ignore_bos, threshold, &known);
        }
        FeaturesByToken { source: source.to_owned(), results }
    });
    Ok(Json(OneOrResults::of(answers, is_list)))
}

/// A position for each token, with the features that fire there.
fn every_token(rows: &[Row], tokens: &[Row]) -> Vec<TokenFeatures> {
    let at = |position: &Value| -> Vec<TokenFeature> {
        let here = rows.iter().filter(|row| member(row, "position") == *position);
        let feature = |row| TokenFeature {
            feature_index: member(row, "index"),
            activation_value: member(row, "value"),
            feature: None,
        };
        here.map(feature).collect()
    };
    let answer = |token: &Row| {
        let position = member(token, "position");
        TokenFeatures {
            top_features: at(&position),
            position,
            token: member(token, "token"),
            is_special: member(token, "is_special"),
        }
    };
    tokens.iter().map(answer).collect()
}

/// Makes the positions of a single text as the page shows them: without special tokens, features with what they are said
/// to mean, dense ones left out.
fn plain_tokens(
    positions: &mut Vec<TokenFeatures>,
    ignore_bos: bool,
    threshold: Option<f64>,
    known: &HashMap<i64, FeatureRecord>,
) {
    positions.retain(|position| !ignore_bos || position.is_special != true);
    let of = |feature: &TokenFeature| feature.feature_index.as_i64().and_then(|index| known.get(&index));
    for position in positions {
        if let Some(threshold) = threshold {
            position.top_features.retain(|feature| {
                of(feature).and_then(|record| record.frac_nonzero).is_some_and(|density| density <= threshold)
            });
        }
        for feature in &mut position.top_features {
            feature.feature = of(feature).cloned();
        }
    }
}

async fn known_features(
    app: &App,
    model: &str,
    source: &str,
    found: &[Vec<Row>],
) -> Result<HashMap<i64, FeatureRecord>, ApiError> {
    let mut indices: Vec<i64> = found.iter().flatten().filter_map(|row| member(row, "index").as_i64()).collect();
    indices.sort_unstable();
    indices.dedup();
    let asked = numbers(indices.iter().filter_map(|index| i32::try_from(*index).ok()));
    let key = [ScalarValue::from(model), ScalarValue::from(source), asked];
    let mut explained: HashMap<i64, Vec<ShortExplanation>> = HashMap::new();
    for row in rows(&app.inference.explanations.rows(&key).await?)? {
        let index = member(&row, "index").as_i64().unwrap_or_default();
        let of_feature = explained.entry(index).or_default();
        if of_feature.is_empty() {
            of_feature.push(ShortExplanation {
                description: member(&row, "description"),
                type_name: member(&row, "method"),
                explanation_model_name: member(&row, "explainer_model"),
            });
        }
    }
    let mut known = HashMap::new();
    for row in rows(&app.inference.densities.rows(&key).await?)? {
        let Some(index) = member(&row, "index").as_i64() else { continue };
        let record = FeatureRecord {
            model_id: model.to_owned(),
            layer: source.to_owned(),
            index: index.to_string(),
            frac_nonzero: member(&row, "density").as_f64(),
            explanations: explained.remove(&index).unwrap_or_default(),
        };
        known.insert(index, record);
    }
    Ok(known)
}

//! `POST /api/activation/new`: one feature on a text.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::ScalarValue;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{Index, Texts, unreadable};
use super::{Row, by_text, list, member, members, number};
use crate::http::App;
use crate::http::error::ApiError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ActivationRequest {
    #[serde(alias = "neuron")]
    feature: FeatureName,
    custom_text: Texts,
    #[serde(default)]
    ignore_bos: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureName {
    model_id: String,
    #[serde(alias = "layer")]
    source: String,
    index: Index,
}

pub(in crate::http) async fn post_activation_new(
    State(app): State<Arc<App>>,
    request: Result<Json<ActivationRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(asked) = request.map_err(|rejection| unreadable(&rejection))?;
    let (texts, is_list) = asked.custom_text.into_list(app.limits.prompts)?;
    let FeatureName { model_id, source, index } = &asked.feature;
    let values = [list(&texts), ScalarValue::from(format!("{model_id}/{source}/{index}"))];
    let found = by_text(&app.inference.feature.rows(&values).await?, texts.len())?;
    let specials = app.inference.tokens(model_id, &texts, true).await?;
    let answers: Vec<Value> = found
        .iter()
        .zip(&specials)
        .map(|(rows, tokens)| answer(&asked.feature, without_special(rows, tokens, asked.ignore_bos)))
        .collect();
    Ok(Json(match (is_list, answers.into_iter().collect::<Vec<_>>()) {
        (true, answers) => Value::from(answers),
        (false, answers) => answers.into_iter().next().unwrap_or_default(),
    }))
}

/// Leaves out the first position if it is asked for and its token is a special one.
fn without_special<'a>(rows: &'a [Row], tokens: &[Row], ignore_bos: bool) -> &'a [Row] {
    let first = rows.first().and_then(|row| member(row, "position").as_u64());
    let token = first.and_then(|position| tokens.get(usize::try_from(position).ok()?));
    let is_special = token.is_some_and(|token| member(token, "is_special") == Value::Bool(true));
    if ignore_bos && is_special { rows.get(1..).unwrap_or_default() } else { rows }
}

fn answer(feature: &FeatureName, rows: &[Row]) -> Value {
    let values: Vec<f64> = rows.iter().map(|row| number(row, "value")).collect();
    let strongest = values.iter().enumerate().fold(None, |best: Option<(usize, f64)>, (position, value)| match best {
        Some((_, most)) if *value <= most => best,
        _ => Some((position, *value)),
    });
    let (at, most) = strongest.unwrap_or_default();
    let mut answer = json!({
        "tokens": members(rows, "token"),
        "values": members(rows, "value"),
        "maxValue": most,
        "minValue": values.iter().copied().fold(most, f64::min),
        "maxValueTokenIndex": at,
        "modelId": feature.model_id,
        "layer": feature.source,
        "index": feature.index.to_string(),
        "creatorId": "",
        "dataIndex": null,
        "dataSource": "LatentDB",
        "createdAt": null,
    });
    let dfa = members(rows, "dfa_value");
    if let (Some(members), true) = (answer.as_object_mut(), dfa.iter().any(|value| !value.is_null())) {
        let most = dfa.iter().filter_map(Value::as_f64).fold(f64::NEG_INFINITY, f64::max);
        members.insert("dfaValues".to_owned(), Value::from(dfa));
        members.insert("dfaTargetIndex".to_owned(), Value::from(at));
        members.insert("dfaMaxValue".to_owned(), Value::from(most));
    }
    answer
}

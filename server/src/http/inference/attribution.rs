//! Direct feature attribution of found features: how much each token gave to a feature of an attention source.

use std::collections::{HashMap, HashSet};

use latentdb_engine::{Result, ScalarValue};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Inference, Row, by_text, list, member, rows};

pub(super) const ATTENTION_SOURCES: &str =
    "SELECT source_id FROM sources WHERE model_id = $1 AND hook_point LIKE '%hook_z'";

pub(super) const ATTRIBUTION: &str = "\
SELECT t.n, a.position, a.dfa_value, a.dfa_target \
FROM unnest($1::text[]) WITH ORDINALITY AS t(feature, n), activate_feature(t.feature, $2, ignore_bos => $3) a \
WHERE a.dfa_value IS NOT NULL ORDER BY t.n, a.position";

/// How much each token gave to a feature of an attention source; nothing for features of others.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Attribution {
    /// What each position gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    pub(super) dfa_values: Option<Vec<Value>>,
    /// The position that was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub(super) dfa_target_index: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dfa_max_value: Option<f64>,
}

impl Inference {
    /// The attributions of `found` on a text of `tokens` tokens, by place among them.
    pub(super) async fn attribute(
        &self,
        model: &str,
        text: &str,
        ignore_bos: bool,
        tokens: usize,
        found: &[Row],
    ) -> Result<HashMap<usize, Attribution>> {
        let attention: HashSet<Value> = rows(&self.attention_sources.rows(&[ScalarValue::from(model)]).await?)?
            .iter()
            .map(|row| member(row, "source_id"))
            .collect();
        let chosen: Vec<usize> = (0..found.len())
            .filter(|place| found.get(*place).is_some_and(|row| attention.contains(&member(row, "source_id"))))
            .collect();
        if chosen.is_empty() {
            return Ok(HashMap::new());
        }
        let features: Vec<String> =
            chosen.iter().filter_map(|place| found.get(*place)).map(|row| address(model, row)).collect();
        let values = [list(&features), ScalarValue::from(text), ScalarValue::from(ignore_bos)];
        let attributions = by_text(&self.attribution.rows(&values).await?, features.len())?;
        Ok(chosen.into_iter().zip(attributions).map(|(place, given)| (place, attribution(&given, tokens))).collect())
    }
}

fn address(model: &str, row: &Row) -> String {
    let source = member(row, "source_id");
    format!("{model}/{}/{}", source.as_str().unwrap_or_default(), member(row, "index"))
}

/// The attribution of one feature; a position without a value, a BOS that is left out, gave nothing.
fn attribution(given: &[Row], tokens: usize) -> Attribution {
    let mut values = vec![0.0; tokens];
    for row in given {
        let place = member(row, "position").as_u64().and_then(|position| usize::try_from(position).ok());
        if let Some(value) = place.and_then(|place| values.get_mut(place)) {
            *value = member(row, "dfa_value").as_f64().unwrap_or_default();
        }
    }
    let Some(first) = given.first() else { return Attribution::default() };
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Attribution {
        dfa_values: Some(values.into_iter().map(Value::from).collect()),
        dfa_target_index: Some(member(first, "dfa_target")),
        dfa_max_value: Some(most),
    }
}

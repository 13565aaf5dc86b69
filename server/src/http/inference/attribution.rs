//! Direct feature attribution of found features: how much each token gave to a feature of an attention source.

use std::collections::HashSet;

use latentdb_engine::{Result, ScalarValue};
use serde_json::{Value, json};

use super::{Inference, Row, by_text, list, member, rows};

pub(super) const ATTENTION_SOURCES: &str =
    "SELECT source_id FROM sources WHERE model_id = $1 AND hook_point LIKE '%hook_z'";

pub(super) const ATTRIBUTION: &str = "\
SELECT t.n, a.position, a.dfa_value, a.dfa_target \
FROM unnest($1::text[]) WITH ORDINALITY AS t(feature, n), activate_feature(t.feature, $2, ignore_bos => $3) a \
WHERE a.dfa_value IS NOT NULL ORDER BY t.n, a.position";

impl Inference {
    /// Adds the attributions of `found` on a text of `tokens` tokens to `answers`, which stand for the same features.
    pub(super) async fn attribute(
        &self,
        model: &str,
        text: &str,
        ignore_bos: bool,
        tokens: usize,
        found: &[Row],
        answers: &mut [Value],
    ) -> Result<()> {
        let attention: HashSet<Value> = rows(&self.attention_sources.rows(&[ScalarValue::from(model)]).await?)?
            .iter()
            .map(|row| member(row, "source_id"))
            .collect();
        let chosen: Vec<usize> = (0..found.len())
            .filter(|place| found.get(*place).is_some_and(|row| attention.contains(&member(row, "source_id"))))
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let features: Vec<String> =
            chosen.iter().filter_map(|place| found.get(*place)).map(|row| address(model, row)).collect();
        let values = [list(&features), ScalarValue::from(text), ScalarValue::from(ignore_bos)];
        let attributions = by_text(&self.attribution.rows(&values).await?, features.len())?;
        for (place, given) in chosen.into_iter().zip(attributions) {
            if let Some(answer) = answers.get_mut(place).and_then(Value::as_object_mut) {
                answer.extend(members(&given, tokens));
            }
        }
        Ok(())
    }
}

fn address(model: &str, row: &Row) -> String {
    let source = member(row, "source_id");
    format!("{model}/{}/{}", source.as_str().unwrap_or_default(), member(row, "index"))
}

/// Neuronpedia's members for one feature; a position without a value, a BOS that is left out, gave nothing.
fn members(given: &[Row], tokens: usize) -> Row {
    let mut values = vec![0.0; tokens];
    for row in given {
        let place = member(row, "position").as_u64().and_then(|position| usize::try_from(position).ok());
        if let Some(value) = place.and_then(|place| values.get_mut(place)) {
            *value = member(row, "dfa_value").as_f64().unwrap_or_default();
        }
    }
    let Some(first) = given.first() else { return Row::new() };
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let members = json!({ "dfaValues": values, "dfaTargetIndex": member(first, "dfa_target"), "dfaMaxValue": most });
    members.as_object().cloned().unwrap_or_default()
}

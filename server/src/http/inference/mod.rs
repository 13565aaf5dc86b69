//! Neuronpedia's inference endpoints: tokens and activations of a text that the caller brings.
//!
//! Each is a query over the model functions, so that what HTTP answers and what SQL answers cannot differ. A list of texts is
//! one query: the engine batches it.

mod activation_new;
mod activation_source;
mod attribution;
mod request;
mod search_all;
mod search_by_token;
mod tokenize;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Engine, RepeatedQuery, Result, ScalarValue};
use serde_json::Value;
use utoipa_axum::routes;

use super::Routes;
use super::rows::{Row, member, number, rows};

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(tokenize::post_tokenize))
        .routes(routes!(activation_new::post_activation_new))
        .routes(routes!(activation_source::post_activation_source))
        .routes(routes!(search_all::post_search_all))
        .routes(routes!(search_by_token::post_search_by_token))
}

/// The queries of the endpoints.
#[derive(Debug)]
pub(super) struct Inference {
    tokens: RepeatedQuery,
    feature: RepeatedQuery,
    by_token: RepeatedQuery,
    activate: RepeatedQuery,
    activate_at: RepeatedQuery,
    attention_sources: RepeatedQuery,
    attribution: RepeatedQuery,
    densities: RepeatedQuery,
    explanations: RepeatedQuery,
}

const TOKENS: &str = "\
SELECT t.n, k.position, k.token_id, k.token, k.is_special \
FROM unnest($1::text[]) WITH ORDINALITY AS t(text, n), tokenize($2, t.text, prepend_bos => $3) k ORDER BY t.n, k.position";

const FEATURE: &str = "\
SELECT t.n, a.position, a.token, a.value, a.dfa_value, a.dfa_target \
FROM unnest($1::text[]) WITH ORDINALITY AS t(text, n), activate_feature($2, t.text) a ORDER BY t.n, a.position";

const BY_TOKEN: &str = "\
SELECT t.n, a.position, a.rank, a.index, a.value \
FROM unnest($1::text[]) WITH ORDINALITY AS t(text, n), activate_by_token($2, $3, t.text, top_k => $4, ignore_bos => $5) a \
ORDER BY t.n, a.position, a.rank";

const ACTIVATE: &str = "\
SELECT t.n, a.model_id, a.source_id, a.index, a.max_value, a.max_position, a.sum_value, a.tokens, a.acts \
FROM unnest($1::text[]) WITH ORDINALITY AS t(text, n), activate($2, $3, t.text, top_k => $4, ignore_bos => $5";

/// The newest explanation that no person wrote.
const EXPLANATIONS: &str = "\
SELECT index, description, method, explainer_model FROM explanations \
WHERE model_id = $1 AND source_id = $2 AND index = ANY($3) AND explainer_model IS NOT NULL \
ORDER BY index, created_at DESC NULLS LAST";

const DENSITIES: &str =
    "SELECT index, density FROM features WHERE model_id = $1 AND source_id = $2 AND index = ANY($3)";

impl Inference {
    pub(super) fn new(engine: &Engine) -> Self {
        let query = |sql: &str| RepeatedQuery::new(engine.clone(), "http", sql);
        Self {
            tokens: query(TOKENS),
            feature: query(FEATURE),
            by_token: query(BY_TOKEN),
            activate: query(&format!("{ACTIVATE}) a")),
            activate_at: query(&format!("{ACTIVATE}, sum_at => $6) a")),
            attention_sources: query(attribution::ATTENTION_SOURCES),
            attribution: query(attribution::ATTRIBUTION),
            densities: query(DENSITIES),
            explanations: query(EXPLANATIONS),
        }
    }

    /// The tokens of each text.
    async fn tokens(&self, model: &str, texts: &[String], prepend_bos: bool) -> Result<Vec<Vec<Row>>> {
        let values = [list(texts), ScalarValue::from(model), ScalarValue::from(prepend_bos)];
        by_text(&self.tokens.rows(&values).await?, texts.len())
    }
}

/// A list of texts, as a parameter.
fn list(texts: &[String]) -> ScalarValue {
    let texts: Vec<ScalarValue> = texts.iter().map(|text| ScalarValue::from(text.as_str())).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&texts, &DataType::Utf8))
}

/// A list of whole numbers, as a parameter.
fn numbers(values: impl IntoIterator<Item = i32>) -> ScalarValue {
    let values: Vec<ScalarValue> = values.into_iter().map(ScalarValue::from).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Int32))
}

/// The rows of a result that numbers its texts `n` from 1, text by text.
fn by_text(batch: &RecordBatch, texts: usize) -> Result<Vec<Vec<Row>>> {
    let mut all: Vec<Vec<Row>> = vec![Vec::new(); texts];
    for row in rows(batch)? {
        let number = row.get("n").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        if let Some(of_text) = number.and_then(|number| all.get_mut(number.checked_sub(1)?)) {
            of_text.push(row);
        }
    }
    Ok(all)
}

/// The members `name` of rows, in order.
fn members(rows: &[Row], name: &str) -> Vec<Value> {
    rows.iter().map(|row| member(row, name)).collect()
}

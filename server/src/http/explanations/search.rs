//! The search itself: what is asked, where it is looked for, and how results are told.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::{Error, ErrorKind, Session, text_literal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::statement::{Filters, Mode, Statement};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::openapi::Feature;
use crate::http::rows::{Row, member, number, rows};

/// Results of a page, as in Neuronpedia.
const PAGE: usize = 20;
/// Letters of a query at least, as in Neuronpedia.
const SHORTEST: usize = 3;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Sources,
    Model,
    Release,
    All,
}

/// What is looked for, and where.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExplanationSearch)]
pub(in crate::http) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "gpt2-small")]
    model_id: Option<String>,
    /// Sources; needed by `search`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_name: Option<String>,
    /// Three letters at least.
    #[schema(example = "import statement")]
    query: String,
    /// Results that are passed over.
    #[serde(default)]
    offset: u32,
    #[serde(default)]
    mode: Mode,
    #[serde(flatten)]
    filters: Filters,
}

/// A page of results.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Page {
    request: Request,
    results_count: usize,
    has_more: bool,
    results: Vec<FoundExplanation>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

/// An explanation, with its feature.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoundExplanation {
    #[schema(value_type = String)]
    id: Value,
    model_id: String,
    layer: String,
    index: String,
    #[schema(value_type = String)]
    description: Value,
    #[schema(value_type = Option<String>)]
    explanation_model_name: Value,
    #[schema(value_type = Option<String>)]
    type_name: Value,
    /// With the query; none where only words were searched.
    #[serde(rename = "cosine_similarity")]
    #[schema(value_type = Option<f64>)]
    cosine_similarity: Value,
    /// BM25 of words, or the merged rank of both.
    #[schema(value_type = Option<f64>)]
    score: Value,
    /// The feature with three activations at most.
    #[schema(value_type = Option<Feature>)]
    neuron: Value,
}

pub(super) async fn search(
    app: &App,
    scope: Scope,
    body: Result<Json<Request>, JsonRejection>,
) -> Result<Json<Page>, ApiError> {
    let Json(request) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    if request.query.trim().chars().count() < SHORTEST {
        return Err(ApiError::bad_request(format!("query must have at least {SHORTEST} letters")));
    }
    request.filters.check()?;
    let session = app.engine.session("http");
    let condition = condition(&session, scope, &request).await?;
    let embedding_model = match request.mode {
        Mode::Words => String::new(),
        Mode::Meaning | Mode::Both => embedding_model(&session).await?,
    };
    let statement = Statement {
        query: &request.query,
        condition: &condition,
        filters: &request.filters,
        embedding_model: &embedding_model,
        limit: PAGE + 1,
        offset: request.offset as usize,
    };
    let found = ask(&session, &statement.by(request.mode)).await?;
    let mut results = Vec::with_capacity(PAGE);
    for row in found.iter().take(PAGE) {
        results.push(result(app, row).await?);
    }
    let has_more = found.len() > PAGE;
    let next_offset = has_more.then_some(request.offset as usize + PAGE);
    Ok(Json(Page { request, results_count: results.len(), has_more, results, next_offset }))
}

/// Which explanations are searched, as a condition.
async fn condition(session: &Session, scope: Scope, request: &Request) -> Result<String, ApiError> {
    let needed = |name: &str, value: &Option<String>| {
        value.clone().ok_or_else(|| ApiError::bad_request(format!("{name} is missing")))
    };
    Ok(match scope {
        Scope::All => "true".to_owned(),
        Scope::Model => format!("model_id = {}", text_literal(&needed("modelId", &request.model_id)?)),
        Scope::Sources => {
            let model = needed("modelId", &request.model_id)?;
            if request.layers.is_empty() {
                return Err(ApiError::bad_request("layers names no source"));
            }
            let layers: Vec<String> = request.layers.iter().map(|layer| text_literal(layer)).collect();
            format!("model_id = {} AND source_id IN ({})", text_literal(&model), layers.join(", "))
        }
        Scope::Release => {
            let release = needed("releaseName", &request.release_name)?;
            let sql = format!(
                "SELECT s.model_id, s.source_id FROM sources s JOIN source_sets t \
                 ON s.model_id = t.model_id AND s.set_id = t.set_id WHERE t.release_id = {}",
                text_literal(&release)
            );
            let sources = ask(session, &sql).await?;
            if sources.is_empty() {
                return Err(ApiError::not_found(format!("there is no release {release} with sources")));
            }
            let text = |row: &Row, name: &str| member(row, name).as_str().unwrap_or_default().to_owned();
            let pairs: Vec<String> = sources
                .iter()
                .map(|row| text_literal(&format!("{}/{}", text(row, "model_id"), text(row, "source_id"))))
                .collect();
            format!("model_id || '/' || source_id IN ({})", pairs.join(", "))
        }
    })
}

/// The model whose embeddings can be compared with the query's.
async fn embedding_model(session: &Session) -> Result<String, ApiError> {
    let found = ask(session, "SELECT embedding_model() AS name").await?;
    let name = found.first().and_then(|row| member(row, "name").as_str().map(str::to_owned));
    name.ok_or_else(|| Error::new(ErrorKind::Internal, "the embedding model has no name").into())
}

async fn ask(session: &Session, sql: &str) -> Result<Vec<Row>, ApiError> {
    let found = session.query(sql).await?;
    let schema = std::sync::Arc::clone(found.schema());
    let batches = found.collect().await?;
    let batch = arrow::compute::concat_batches(&schema, &batches)
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    Ok(rows(&batch)?)
}

/// A result as Neuronpedia's clients read it.
async fn result(app: &App, row: &Row) -> Result<FoundExplanation, ApiError> {
    let text = |name: &str| member(row, name).as_str().unwrap_or_default().to_owned();
    let (model, source, index) = (text("model_id"), text("source_id"), number(row, "index") as i32);
    let neuron = match app.features.read(&model, &source, index).await? {
        Some(record) => {
            let mut record: Value = serde_json::from_slice(&record).unwrap_or_default();
            if let Some(activations) = record.get_mut("activations").and_then(Value::as_array_mut) {
                activations.truncate(3);
            }
            record
        }
        None => Value::Null,
    };
    Ok(FoundExplanation {
        id: member(row, "explanation_id"),
        model_id: model,
        layer: source,
        index: index.to_string(),
        description: member(row, "description"),
        explanation_model_name: member(row, "explainer_model"),
        type_name: member(row, "method"),
        cosine_similarity: member(row, "similarity"),
        score: member(row, "score"),
        neuron,
    })
}

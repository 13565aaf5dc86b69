//! Neuronpedia's `/api/vector/*`: the table `vectors`, whose rows are addressed as features of a source called `vectors`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use latentdb_engine::{Error, ErrorKind, RepeatedQuery, Result, ScalarValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::access::Caller;
use super::error::ApiError;
use super::rows::{Row, execute, member, rows};
use super::{App, Routes};

/// What stands for the source of a vector.
const SOURCE: &str = "vectors";
const COLUMNS: &str = "vector_id, model_id, hook_point, label, vector, default_strength, created_at";

type Answer<T> = std::result::Result<Json<T>, ApiError>;

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(post_new))
        .routes(routes!(post_get))
        .routes(routes!(post_list_owned))
        .routes(routes!(post_delete))
}

/// A vector to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewVector {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[schema(example = 3)]
    layer_number: u32,
    /// `hook_resid_pre` or `hook_resid_post`.
    #[schema(example = "hook_resid_pre")]
    hook_type: String,
    /// As many components as the model is wide.
    vector: Vec<f32>,
    vector_default_steer_strength: f32,
    #[serde(default)]
    vector_label: String,
}

/// A vector, or a feature.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VectorAddress)]
struct Address {
    #[schema(example = "docs-3m")]
    model_id: String,
    /// `vectors`, or a feature's source.
    #[schema(example = "vectors")]
    source: String,
    /// The vector's id, or the feature's number.
    index: String,
}

/// That something was done.
#[derive(Debug, Serialize, ToSchema)]
struct Success {
    #[schema(example = "Success")]
    message: &'static str,
}

/// A vector that is kept now.
#[derive(Debug, Serialize, ToSchema)]
struct AddedVector {
    #[schema(example = "Success")]
    message: &'static str,
    /// Path of its page.
    url: String,
    vector: NewVectorRecord,
}

/// A vector as it was added.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewVectorRecord {
    model_id: String,
    source: &'static str,
    index: String,
    #[schema(value_type = Option<String>)]
    label: Value,
    #[schema(value_type = Option<String>)]
    created_at: Value,
    #[schema(value_type = Option<f64>)]
    default_steer_strength: Value,
    #[schema(value_type = String)]
    hook_name: Value,
    #[schema(value_type = Vec<f64>)]
    values: Value,
}

/// A vector as Neuronpedia writes a feature that is one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VectorRecord {
    #[schema(value_type = String)]
    model_id: Value,
    layer: String,
    #[schema(value_type = String)]
    index: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_vector: Option<bool>,
    #[schema(value_type = Option<String>)]
    vector_label: Value,
    #[schema(value_type = Option<String>)]
    hook_name: Value,
    #[schema(value_type = Option<Vec<f64>>)]
    vector: Value,
    #[schema(value_type = Option<f64>)]
    vector_default_steer_strength: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    created_at: Option<Value>,
}

/// A vector.
#[derive(Debug, Serialize, ToSchema)]
struct OneVector {
    vector: VectorRecord,
}

/// Vectors.
#[derive(Debug, Serialize, ToSchema)]
struct Vectors {
    vectors: Vec<VectorRecord>,
}

/// Adds a vector. Needs a key.
#[utoipa::path(
    post, path = "/api/vector/new", tag = "Vectors", operation_id = "addVector", request_body = NewVector,
    responses((status = 200, description = "The vector", body = AddedVector), ApiError)
)]
async fn post_new(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: std::result::Result<Json<NewVector>, JsonRejection>,
) -> Answer<AddedVector> {
    check_may_write(&caller)?;
    let Json(new) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    check(&app, &new).await?;
    let id = format!("{:032x}", rand::random::<u128>());
    let components: Vec<ScalarValue> = new.vector.iter().map(|component| ScalarValue::from(*component)).collect();
    let point = format!("blocks.{}.{}", new.layer_number, new.hook_type);
    let values = vec![
        ScalarValue::from(id.as_str()),
        ScalarValue::from(new.model_id.as_str()),
        ScalarValue::from(point),
        ScalarValue::from(new.vector_label),
        ScalarValue::List(ScalarValue::new_list_nullable(&components, &DataType::Float32)),
        ScalarValue::from(new.vector_default_steer_strength),
        ScalarValue::from(caller.user),
    ];
    let insert = "INSERT INTO vectors (vector_id, model_id, hook_point, label, vector, default_strength, owner, created_at) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, now())";
    execute(&app.engine, insert, values).await?;
    let row = one(&app, &new.model_id, &id).await?;
    Ok(Json(AddedVector {
        message: "Success",
        url: format!("/{}/{SOURCE}/{id}", new.model_id),
        vector: NewVectorRecord {
            model_id: new.model_id,
            source: SOURCE,
            index: id,
            label: member(&row, "label"),
            created_at: member(&row, "created_at"),
            default_steer_strength: member(&row, "default_strength"),
            hook_name: member(&row, "hook_point"),
            values: member(&row, "vector"),
        },
    }))
}

/// What a vector is. A feature has one too: the direction that it reads, as Neuronpedia answers.
#[utoipa::path(
    post, path = "/api/vector/get", tag = "Vectors", operation_id = "vector", request_body = Address,
    responses((status = 200, description = "The vector", body = OneVector), ApiError)
)]
async fn post_get(
    State(app): State<Arc<App>>,
    body: std::result::Result<Json<Address>, JsonRejection>,
) -> Answer<OneVector> {
    let Json(address) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let Address { model_id, source, index } = &address;
    if source == SOURCE {
        return Ok(Json(OneVector { vector: shown(&one(&app, model_id, index).await?) }));
    }
    let read = RepeatedQuery::new(app.engine.clone(), "http", "SELECT encoder_vector($1) AS vector");
    let feature = ScalarValue::from(format!("{model_id}/{source}/{index}"));
    let found = rows(&read.rows(&[feature]).await?)?.pop().unwrap_or_default();
    let hook = "SELECT hook_point FROM sources WHERE model_id = $1 AND source_id = $2";
    let hook = RepeatedQuery::new(app.engine.clone(), "http", hook);
    let named = [ScalarValue::from(model_id.as_str()), ScalarValue::from(source.as_str())];
    let hook = rows(&hook.rows(&named).await?)?.pop().unwrap_or_default();
    let vector = VectorRecord {
        model_id: model_id.as_str().into(),
        layer: source.clone(),
        index: index.as_str().into(),
        has_vector: None,
        vector_label: "".into(),
        hook_name: member(&hook, "hook_point"),
        vector: member(&found, "vector"),
        vector_default_steer_strength: 10.into(),
        created_at: None,
    };
    Ok(Json(OneVector { vector }))
}

/// All vectors that the caller made.
#[utoipa::path(
    post, path = "/api/vector/list-owned", tag = "Vectors", operation_id = "ownVectors",
    responses((status = 200, description = "The vectors, oldest first", body = Vectors), ApiError)
)]
async fn post_list_owned(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Answer<Vectors> {
    let list = format!("SELECT {COLUMNS} FROM vectors WHERE owner = $1 ORDER BY created_at, vector_id");
    let list = RepeatedQuery::new(app.engine.clone(), "http", list);
    let found = rows(&list.rows(&[ScalarValue::from(caller.user)]).await?)?;
    Ok(Json(Vectors { vectors: found.iter().map(shown).collect() }))
}

/// Deletes a vector of the caller's. Needs a key.
#[utoipa::path(
    post, path = "/api/vector/delete", tag = "Vectors", operation_id = "deleteVector", request_body = Address,
    responses((status = 200, description = "The vector is gone", body = Success), ApiError)
)]
async fn post_delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: std::result::Result<Json<Address>, JsonRejection>,
) -> Answer<Success> {
    check_may_write(&caller)?;
    let Json(Address { model_id, source, index }) =
        body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    if source != SOURCE {
        return Err(ApiError::not_found(format!("{model_id}/{source}/{index} is no vector")));
    }
    let values = [&index, &model_id, &caller.user].map(|value| ScalarValue::from(value.as_str()));
    let delete = "DELETE FROM vectors WHERE vector_id = $1 AND model_id = $2 AND owner = $3";
    match execute(&app.engine, delete, values.to_vec()).await? {
        0 => Err(ApiError::not_found(format!("{} has no vector {index} in {model_id}", caller.user))),
        _ => Ok(Json(Success { message: "Success" })),
    }
}

fn check_may_write(caller: &Caller) -> Result<(), ApiError> {
    if caller.may_write {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Permission, "only a caller with an API key may change vectors")
        .with_hint("make a key with `latentdb key add` and send it in the header x-api-key");
    Err(error.into())
}

/// Whether the vector fits the model that it is for.
async fn check(app: &App, new: &NewVector) -> Result<(), ApiError> {
    if !matches!(new.hook_type.as_str(), "hook_resid_pre" | "hook_resid_post") {
        return Err(ApiError::bad_request("hookType is hook_resid_pre or hook_resid_post"));
    }
    let shape = "SELECT n_layers, d_model FROM models WHERE model_id = $1";
    let shape = RepeatedQuery::new(app.engine.clone(), "http", shape);
    let found = rows(&shape.rows(&[ScalarValue::from(new.model_id.as_str())]).await?)?.pop();
    let found = found.ok_or_else(|| ApiError::not_found(format!("there is no model {}", new.model_id)))?;
    let known = |name: &str| member(&found, name).as_u64();
    if let Some(layers) = known("n_layers").filter(|layers| u64::from(new.layer_number) >= *layers) {
        let message =
            format!("{} has {layers} layers, counted from 0, and no layer {}", new.model_id, new.layer_number);
        return Err(ApiError::bad_request(message));
    }
    if let Some(width) = known("d_model").filter(|width| new.vector.len() as u64 != *width) {
        let message = format!("the vector has {} components, and {} is {width} wide", new.vector.len(), new.model_id);
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

async fn one(app: &App, model: &str, id: &str) -> Result<Row, ApiError> {
    let query = format!("SELECT {COLUMNS} FROM vectors WHERE vector_id = $1 AND model_id = $2");
    let query = RepeatedQuery::new(app.engine.clone(), "http", query);
    let found = rows(&query.rows(&[ScalarValue::from(id), ScalarValue::from(model)]).await?)?.pop();
    found.ok_or_else(|| ApiError::not_found(format!("{model} has no vector {id}")))
}

fn shown(row: &Row) -> VectorRecord {
    VectorRecord {
        model_id: member(row, "model_id"),
        layer: SOURCE.to_owned(),
        index: member(row, "vector_id"),
        has_vector: Some(true),
        vector_label: member(row, "label"),
        hook_name: member(row, "hook_point"),
        vector: member(row, "vector"),
        vector_default_steer_strength: member(row, "default_strength"),
        created_at: Some(member(row, "created_at")),
    }
}

//! Neuronpedia's `/api/vector/*`: the table `vectors`, whose rows are addressed as features of a source called `vectors`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use latentdb_engine::{Error, ErrorKind, RepeatedQuery, Result, ScalarValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::access::Caller;
use super::error::ApiError;
use super::rows::{Row, execute, member, rows};

/// What stands for the source of a vector.
const SOURCE: &str = "vectors";
const COLUMNS: &str = "vector_id, model_id, hook_point, label, vector, default_strength, created_at";

type Answer = std::result::Result<Json<Value>, ApiError>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewVector {
    model_id: String,
    layer_number: u32,
    hook_type: String,
    vector: Vec<f32>,
    vector_default_steer_strength: f32,
    #[serde(default)]
    vector_label: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    model_id: String,
    source: String,
    index: String,
}

/// Adds a vector.
pub(super) async fn post_new(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: std::result::Result<Json<NewVector>, JsonRejection>,
) -> Answer {
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
    Ok(Json(json!({
        "message": "Success",
        "url": format!("/{}/{SOURCE}/{id}", new.model_id),
        "vector": {
            "modelId": new.model_id,
            "source": SOURCE,
            "index": id,
            "label": member(&row, "label"),
            "createdAt": member(&row, "created_at"),
            "defaultSteerStrength": member(&row, "default_strength"),
            "hookName": member(&row, "hook_point"),
            "values": member(&row, "vector"),
        },
    })))
}

/// What a vector is. A feature has one too: the direction that it reads, as Neuronpedia answers.
pub(super) async fn post_get(
    State(app): State<Arc<App>>,
    body: std::result::Result<Json<Address>, JsonRejection>,
) -> Answer {
    let Json(address) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let Address { model_id, source, index } = &address;
    if source == SOURCE {
        return Ok(Json(json!({ "vector": shown(&one(&app, model_id, index).await?) })));
    }
    let read = RepeatedQuery::new(app.engine.clone(), "http", "SELECT encoder_vector($1) AS vector");
    let feature = ScalarValue::from(format!("{model_id}/{source}/{index}"));
    let found = rows(&read.rows(&[feature]).await?)?.pop().unwrap_or_default();
    let hook = "SELECT hook_point FROM sources WHERE model_id = $1 AND source_id = $2";
    let hook = RepeatedQuery::new(app.engine.clone(), "http", hook);
    let named = [ScalarValue::from(model_id.as_str()), ScalarValue::from(source.as_str())];
    let hook = rows(&hook.rows(&named).await?)?.pop().unwrap_or_default();
    Ok(Json(json!({ "vector": {
        "modelId": model_id,
        "layer": source,
        "index": index,
        "vectorLabel": "",
        "hookName": member(&hook, "hook_point"),
        "vector": member(&found, "vector"),
        "vectorDefaultSteerStrength": 10,
    }})))
}

/// All vectors that the caller made.
pub(super) async fn post_list_owned(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Answer {
    let list = format!("SELECT {COLUMNS} FROM vectors WHERE owner = $1 ORDER BY created_at, vector_id");
    let list = RepeatedQuery::new(app.engine.clone(), "http", list);
    let found = rows(&list.rows(&[ScalarValue::from(caller.user)]).await?)?;
    Ok(Json(json!({ "vectors": found.iter().map(shown).collect::<Vec<_>>() })))
}

/// Deletes a vector of the caller's.
pub(super) async fn post_delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: std::result::Result<Json<Address>, JsonRejection>,
) -> Answer {
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
        _ => Ok(Json(json!({ "message": "Success" }))),
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

/// A vector as Neuronpedia writes a feature that is one.
fn shown(row: &Row) -> Value {
    json!({
        "modelId": member(row, "model_id"),
        "layer": SOURCE,
        "index": member(row, "vector_id"),
        "hasVector": true,
        "vectorLabel": member(row, "label"),
        "hookName": member(row, "hook_point"),
        "vector": member(row, "vector"),
        "vectorDefaultSteerStrength": member(row, "default_strength"),
        "createdAt": member(row, "created_at"),
    })
}

//! Neuronpedia's endpoints about explanations: searching them.
//!
//! Unlike there, filters apply before the limit, so a page is full as long as there are results; and words can be searched as
//! well as meanings (`"mode"`).

mod search;
mod statement;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use utoipa_axum::routes;

use self::search::{Page, Request, Scope, search};
use super::error::ApiError;
use super::{App, Routes};

type Answer = Result<Json<Page>, ApiError>;
type Body = Result<Json<Request>, JsonRejection>;

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(post_search))
        .routes(routes!(post_search_model))
        .routes(routes!(post_search_release))
        .routes(routes!(post_search_all))
}

/// Searches some sources of a model (`modelId`, `layers`).
#[utoipa::path(
    post, path = "/api/explanation/search", tag = "Explanations", operation_id = "searchExplanations", request_body = Request,
    responses((status = 200, description = "A page of explanations", body = Page), ApiError)
)]
async fn post_search(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Sources, body).await
}

/// Searches all sources of a model (`modelId`).
#[utoipa::path(
    post, path = "/api/explanation/search-model", tag = "Explanations", operation_id = "searchExplanationsOfModel", request_body = Request,
    responses((status = 200, description = "A page of explanations", body = Page), ApiError)
)]
async fn post_search_model(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Model, body).await
}

/// Searches all sources of a release (`releaseName`).
#[utoipa::path(
    post, path = "/api/explanation/search-release", tag = "Explanations", operation_id = "searchExplanationsOfRelease", request_body = Request,
    responses((status = 200, description = "A page of explanations", body = Page), ApiError)
)]
async fn post_search_release(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Release, body).await
}

/// Searches everything.
#[utoipa::path(
    post, path = "/api/explanation/search-all", tag = "Explanations", operation_id = "searchAllExplanations", request_body = Request,
    responses((status = 200, description = "A page of explanations", body = Page), ApiError)
)]
async fn post_search_all(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::All, body).await
}

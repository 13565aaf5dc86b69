//! Neuronpedia's endpoints about explanations: searching them.
//!
//! Unlike there, filters apply before the limit, so a page is full as long as there are results; and words can be searched as
//! well as meanings (`"mode"`).

mod search;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde_json::Value;

use self::search::{Request, Scope, search};
use super::App;
use super::error::ApiError;

type Answer = Result<Json<Value>, ApiError>;
type Body = Result<Json<Request>, JsonRejection>;

/// `POST /api/explanation/search`: some sources of a model.
pub(super) async fn post_search(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Sources, body).await
}

/// `POST /api/explanation/search-model`: all sources of a model.
pub(super) async fn post_search_model(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Model, body).await
}

/// `POST /api/explanation/search-release`: all sources of a release.
pub(super) async fn post_search_release(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::Release, body).await
}

/// `POST /api/explanation/search-all`: everything.
pub(super) async fn post_search_all(State(app): State<Arc<App>>, body: Body) -> Answer {
    search(&app, Scope::All, body).await
}

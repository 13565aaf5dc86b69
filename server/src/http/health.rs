//! `/healthz` and `/metrics`: for load balancers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;

use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::error::ApiError;
use crate::telemetry;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of LatentDB.
    version: &'static str,
    /// Whether the database takes no writes.
    read_only: bool,
}

/// Whether a query runs through the whole engine.
#[utoipa::path(
    get, path = "/healthz", tag = "Server", operation_id = "healthz", security(()),
    responses((status = 200, description = "The server can read its database", body = Health), ApiError)
)]
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Result<axum::Json<Health>, ApiError> {
    app.engine.session("healthz").query("SELECT 1").await?.collect().await?;
    let read_only = app.engine.is_read_only();
    Ok(axum::Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), read_only }))
}

/// Every metric, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "Server", operation_id = "metrics",
    responses((status = 200, description = "Counters, gauges and histograms", body = String), ApiError)
)]
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<impl IntoResponse, ApiError> {
    app.gate.check_read(&headers).await?;
    telemetry::record_process_metrics();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()))
}

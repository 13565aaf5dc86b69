//! `/healthz` and `/metrics`: for load balancers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;

use super::App;
use super::error::ApiError;
use crate::telemetry;

/// Healthy is: a query runs through the whole engine.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    app.engine.session("healthz").query("SELECT 1").await?.collect().await?;
    Ok(axum::Json(serde_json::json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "read_only": app.engine.is_read_only(),
    })))
}

/// Every metric, in Prometheus' text format.
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<impl IntoResponse, ApiError> {
    app.gate.check_read(&headers).await?;
    telemetry::record_process_metrics();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()))
}

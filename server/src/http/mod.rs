//! The HTTP server: SQL over HTTP, Neuronpedia's API, health and metrics, and the web app.
//!
//! What always holds: every failure is JSON (`error`); an answer that ends before its rows do is
//! never a well-formed one (`stream`); a client that goes away stops its query; a listener that
//! other machines can reach answers nothing of the database without a key (`access`); one that they
//! cannot reach answers to no name of theirs (`host`).

mod access;
mod cells;
mod error;
mod explanations;
mod feature;
mod generation;
mod health;
mod host;
mod inference;
mod jobs;
mod listener;
mod negotiate;
mod openapi;
mod pages;
mod parameters;
mod prisma;
mod rows;
mod sql;
mod stream;
mod vectors;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, ServiceExt};
use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_udfs::Models;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{self, CorsLayer};
use tower_http::normalize_path::NormalizePathLayer;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use error::ApiError;

/// How to serve HTTP.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Serve HTTPS with this configuration.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Ask for an API key on every request; always so when other machines can reach the listener.
    pub require_key: bool,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// What a request may ask for.
    pub limits: RequestLimits,
    /// Where imports that are run as jobs note what they have finished.
    pub state_directory: Option<PathBuf>,
    /// Threads that such an import reads with; one per core if it is not said.
    pub import_threads: Option<usize>,
    /// Who generates texts; without, the endpoints that do say so.
    pub models: Option<Models>,
    /// Where `/metrics` reads from.
    pub metrics: PrometheusHandle,
}

/// Limits of requests.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Texts that one may ask for or bring.
    pub prompts: usize,
    /// How long steered runs are kept; none for ever.
    pub runs: Option<Duration>,
}

/// What every handler shares.
#[derive(Debug)]
struct App {
    engine: Engine,
    gate: access::Gate,
    features: feature::FeatureReader,
    inference: inference::Inference,
    jobs: jobs::Jobs,
    models: Option<Models>,
    limits: RequestLimits,
    metrics: PrometheusHandle,
}

/// Serves HTTP on `listener` until `shutdown`, then finishes the requests under way.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    options: HttpOptions,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener.local_addr().map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot tell the address the HTTP server listens on: {error}"))
    })?;
    let on_loopback = address.ip().is_loopback();
    let app = Arc::new(App {
        gate: access::Gate::new(engine.clone(), on_loopback, options.require_key),
        features: feature::FeatureReader::new(&engine),
        inference: inference::Inference::new(&engine),
        jobs: jobs::Jobs::new(engine.clone(), options.state_directory, options.import_threads),
        models: options.models,
        limits: options.limits,
        metrics: options.metrics,
        engine,
    });
    generation::sweep_runs(&app, &shutdown);
    let mut router = router(Arc::clone(&app), options.max_body_bytes);
    if !on_loopback {
        // On the same machine, compressing costs more than the bytes it saves.
        router = router.layer(CompressionLayer::new());
    }
    let service = NormalizePathLayer::trim_trailing_slash().layer(router);
    let incoming = listener::Incoming::new(listener, options.tls, shutdown.clone());
    let served = axum::serve(incoming, ServiceExt::<Request>::into_make_service(service))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await;
    app.jobs.stop().await;
    served.map_err(|error| Error::new(ErrorKind::Io, format!("the HTTP server on {address} stopped: {error}")))
}

/// Routes with their descriptions.
type Routes = OpenApiRouter<Arc<App>>;

/// All routes; `guard` is put around those that ask who the caller is.
fn routes(guard: impl FnOnce(Routes) -> Routes) -> Routes {
    // Other sites' pages may read features; nothing else.
    let readable_anywhere = CorsLayer::new().allow_origin(cors::Any).allow_methods([Method::GET, Method::HEAD]);
    let guarded = Routes::default()
        .routes(routes!(feature::get_feature).layer(readable_anywhere))
        .routes(routes!(sql::post_sql))
        .merge(inference::routes())
        .merge(jobs::routes())
        .merge(explanations::routes())
        .merge(generation::routes())
        .merge(vectors::routes());
    Routes::with_openapi(openapi::Description::openapi())
        .merge(guard(guarded))
        .routes(routes!(health::metrics))
        .routes(routes!(health::healthz))
        .routes(routes!(openapi::get_document))
}

fn router(app: Arc<App>, max_body_bytes: usize) -> Router {
    let known = middleware::from_fn_with_state(Arc::clone(&app), access::identify);
    let own_name = middleware::from_fn_with_state(Arc::clone(&app), host::check_name);
    Router::from(routes(|guarded| guarded.layer(known)))
        .fallback(pages::get_page)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(own_name)
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(middleware::from_fn(measure))
        .with_state(app)
}

async fn wrong_method(request: Request) -> ApiError {
    let message = format!("{} does not answer {}", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Error::new(ErrorKind::InvalidValue, message))
}

fn answer_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = text, "a request handler panicked");
    let error = Error::new(ErrorKind::Internal, "LatentDB failed to answer this request")
        .with_hint("this is a fault in LatentDB; the server's log says more");
    ApiError::from(error).into_response()
}

/// Counts and times every request by its route, never by its path: paths are without number.
async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let elapsed = started.elapsed();
    tracing::debug!(method, route, status, milliseconds = elapsed.as_secs_f64() * 1e3, "http request");
    metrics::histogram!("latentdb_http_request_seconds", "route" => route.clone()).record(elapsed.as_secs_f64());
    metrics::counter!("latentdb_http_requests_total", "route" => route, "method" => method, "status" => status)
        .increment(1);
    response
}

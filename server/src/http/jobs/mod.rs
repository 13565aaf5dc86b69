//! `/v1/jobs`: long work that goes on while nobody waits for it.
//!
//! What always holds: a job does what the command line does; whoever may ask it to (a caller with a key, or on a loopback
//! listener any that is no page of another site) is told by `access`, before a handler runs. Jobs are in memory: a server
//! that starts has none, and work that was cut off goes on where it stopped when it is asked for anew.

mod board;
mod job;
mod meter;
mod request;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use latentdb_engine::Engine;
use utoipa_axum::routes;

use self::board::Board;
use self::job::{Job, JobRecord};
use self::request::JobRequest;
use self::worker::Worker;
use super::access::Caller;
use super::error::ApiError;
use super::{App, Routes};

/// The jobs of a server.
#[derive(Debug)]
pub(super) struct Jobs {
    board: Board,
}

impl Jobs {
    pub(super) fn new(engine: Engine, state_directory: Option<PathBuf>, threads: Option<usize>) -> Self {
        Self { board: Board::new(Worker { engine, state_directory, threads }) }
    }

    /// Stops all jobs, and waits until they have stopped.
    pub(super) async fn stop(&self) {
        self.board.stop_all().await;
    }

    fn find(&self, id: &str) -> Result<Arc<Job>, ApiError> {
        self.board.find(id).ok_or_else(|| ApiError::not_found(format!("there is no job {id}")))
    }
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(get_jobs, post_job))
        .routes(routes!(get_job, delete_job))
        .routes(routes!(post_resume))
}

/// The jobs since the server started, newest first.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "Jobs", operation_id = "jobs",
    responses((status = 200, description = "The jobs", body = Vec<JobRecord>), ApiError)
)]
async fn get_jobs(State(app): State<Arc<App>>) -> Json<Vec<JobRecord>> {
    Json(app.jobs.board.list().iter().map(|job| job.record()).collect())
}

/// Starts a job: a statement that takes long, an import, a model or a source to add.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "Jobs", operation_id = "startJob", request_body = JobRequest,
    responses((status = 202, description = "The job has started", body = JobRecord), ApiError)
)]
async fn post_job(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<JobRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<JobRecord>), ApiError> {
    let Json(request) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let job = app.jobs.board.start(request, &caller.user)?;
    Ok((StatusCode::ACCEPTED, Json(job.record())))
}

/// How a job stands.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "job", params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobRecord), ApiError)
)]
async fn get_job(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<JobRecord>, ApiError> {
    Ok(Json(app.jobs.find(&id)?.record()))
}

/// Cancels a job, if it is running.
#[utoipa::path(
    delete, path = "/v1/jobs/{id}", tag = "Jobs", operation_id = "cancelJob",
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job as it stands now", body = JobRecord), ApiError)
)]
async fn delete_job(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<JobRecord>, ApiError> {
    let job = app.jobs.find(&id)?;
    app.jobs.board.cancel(&job).await;
    Ok(Json(job.record()))
}

/// Starts a job again that failed or was cancelled. Imports and generated dashboards go on where they stopped.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/resume", tag = "Jobs", operation_id = "resumeJob",
    params(("id" = String, Path, description = "The job")),
    responses((status = 202, description = "The job has started", body = JobRecord), ApiError)
)]
async fn post_resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobRecord>), ApiError> {
    let job = app.jobs.find(&id)?;
    app.jobs.board.resume(&job, &caller.user)?;
    Ok((StatusCode::ACCEPTED, Json(job.record())))
}

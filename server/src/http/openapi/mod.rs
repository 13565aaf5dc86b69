//! `GET /openapi.json`: the description of every route, in OpenAPI 3.1.
//!
//! It is made of the handlers' annotations. A route is added with its description (`OpenApiRouter`), so there is none that
//! the document does not name.

mod records;
mod sql_answer;

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use latentdb_engine::{Error, ErrorKind};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

pub(super) use records::Feature;
pub(super) use sql_answer::SqlAnswer;

use super::access::KEY_HEADER;
use super::error::{ApiError, ErrorBody};
use super::generation::OpenAiErrorBody;

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "LatentDB",
        description = "SQL, features, explanations, activations and steering of neural networks. On a loopback address reading \
                       needs no key; writing needs one everywhere, and other addresses ask for one always.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    components(schemas(ErrorBody, OpenAiErrorBody)),
    modifiers(&Keys),
    security((), ("key" = []), ("bearer" = [])),
    tags(
        (name = "SQL", description = "Statements, and their rows as they are produced"),
        (name = "Features", description = "Features as Neuronpedia's API gives them"),
        (name = "Activations", description = "What a text of the caller's makes fire"),
        (name = "Explanations", description = "Searching explanations by meaning and by words"),
        (name = "Steering", description = "Texts grown with features turned up or down"),
        (name = "Lenses", description = "What every layer of a model says of a text"),
        (name = "Vectors", description = "Steering vectors of one's own"),
        (name = "Completions", description = "OpenAI's API, with steering"),
        (name = "Jobs", description = "Long work that goes on while nobody waits for it"),
        (name = "Server", description = "Health, metrics, and this document"),
    ),
)]
pub(super) struct Description;

/// The ways to present an API key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let header = ApiKeyValue::with_description(KEY_HEADER, "`latentdb key add` makes a key");
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(header)));
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "Server", operation_id = "openapi", security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), ApiError)
)]
pub(super) async fn get_document() -> Result<impl IntoResponse, ApiError> {
    static DOCUMENT: LazyLock<serde_json::Result<Bytes>> =
        LazyLock::new(|| super::routes(|routes| routes).into_openapi().to_json().map(Bytes::from));
    match &*DOCUMENT {
        Ok(document) => Ok(([(header::CONTENT_TYPE, "application/json")], document.clone())),
        Err(error) => Err(Error::new(ErrorKind::Internal, format!("the routes have no description: {error}")).into()),
    }
}

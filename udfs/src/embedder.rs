//! What `embed` asks: a model of this machine, or a server that speaks OpenAI's protocol.
//!
//! Which one is a choice of whoever opens the database (`LATENTDB_EMBEDDING_MODEL`): a folder, `hf:org/repo`, or
//! `https://host/v1#model`. It is opened when it is first asked.

use std::str::FromStr;
use std::sync::Arc;

use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::DeviceName;
use latentdb_runtime::embed::TextEmbedder;
use tokio::sync::OnceCell;

use crate::embeddings::{EmbeddingEndpoint, EndpointOptions};
use crate::failure::from_runtime;
use crate::hub::{Downloads, Hub, Unwatched, Wanted};
use crate::location::Location;

/// The model if none is chosen.
const DEFAULT: &str = "hf:sentence-transformers/all-MiniLM-L6-v2";
/// Names another one.
const VARIABLE: &str = "LATENTDB_EMBEDDING_MODEL";

/// The embedder of a database.
#[derive(Debug)]
pub(crate) struct Embedder {
    choice: String,
    opened: OnceCell<Opened>,
}

#[derive(Debug, Clone)]
enum Opened {
    Here(Arc<TextEmbedder>),
    Elsewhere(Arc<EmbeddingEndpoint>),
}

impl Embedder {
    /// The one that the environment names, or the default.
    pub(crate) fn from_environment() -> Self {
        let named = std::env::var(VARIABLE).ok().filter(|choice| !choice.is_empty());
        Self { choice: named.unwrap_or_else(|| DEFAULT.to_owned()), opened: OnceCell::new() }
    }

    async fn opened(&self, hub: &Hub) -> Result<&Opened> {
        let open = || async {
            if self.choice.starts_with("http://") || self.choice.starts_with("https://") {
                let (base, model) = self.choice.split_once('#').ok_or_else(|| {
                    Error::new(ErrorKind::InvalidValue, format!("{VARIABLE} names a server and no model of it"))
                        .with_hint("write https://host/v1#model")
                })?;
                return EmbeddingEndpoint::new(EndpointOptions::new(base, model)).map(Arc::new).map(Opened::Elsewhere);
            }
            let unwatched: Arc<dyn Downloads> = Arc::new(Unwatched);
            let location = Location::from_str(&self.choice)?;
            let fetched = hub.fetch(&location, Wanted::Embedder, &unwatched).await.map_err(|error| {
                error.with_hint(format!(
                    "{VARIABLE} names another model: a folder, hf:org/repo, or https://host/v1#model"
                ))
            })?;
            let work = move || {
                let device = DeviceName::Cpu.open().map_err(from_runtime)?;
                TextEmbedder::open(&fetched.path, &device).map_err(from_runtime)
            };
            let opened = tokio::task::spawn_blocking(work).await.map_err(crate::arguments::internal)??;
            Ok(Opened::Here(Arc::new(opened)))
        };
        self.opened.get_or_try_init(open).await
    }

    /// The name that columns of its vectors record.
    pub(crate) async fn identity(&self, hub: &Hub) -> Result<String> {
        Ok(match self.opened(hub).await? {
            Opened::Here(embedder) => embedder.identity().to_owned(),
            Opened::Elsewhere(endpoint) => endpoint.identity(),
        })
    }

    /// The vectors of some texts, in order.
    pub(crate) async fn embed(&self, hub: &Hub, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        match self.opened(hub).await?.clone() {
            Opened::Here(embedder) => {
                let work = move || {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    embedder.embed(&texts).map_err(from_runtime)
                };
                tokio::task::spawn_blocking(work).await.map_err(crate::arguments::internal)?
            }
            Opened::Elsewhere(endpoint) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                endpoint.embed(&texts).await
            }
        }
    }
}

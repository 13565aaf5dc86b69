//! The models and sources that the database knows, and the service that runs them.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::future::BoxFuture;
use latentdb_engine::{
    Engine, Error, ErrorKind, ModelFunction, ModelRequest, ModelService, RepeatedQuery, Result, ScalarValue,
};
use latentdb_runtime::lens::JacobianLens;
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, SourceKey, Worker};
use latentdb_runtime::source::Source;
use tokio::sync::{Mutex, MutexGuard};

use crate::address::layer_of;
use crate::arguments::internal;
use crate::dashboards::GenerateDashboards;
use crate::embedder::Embedder;
use crate::evals::EvalSource;
use crate::explanations::{EmbedExplanations, keep_up};
use crate::failure::from_runtime;
use crate::functions;
use crate::hints::SourceHints;
use crate::hub::{Downloads, Hub, Unwatched, Wanted};
use crate::layouts::LayoutFeatures;
use crate::lenses::Lenses;
use crate::location::Location;
use crate::user_vectors::{StoredVector, UserVectors, VECTORS};

/// How model functions run.
pub type ModelsOptions = ServiceOptions;

/// The models of a database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Models {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: Arc<Service>,
    hub: Hub,
    models: RepeatedQuery,
    sources: RepeatedQuery,
    densities: RepeatedQuery,
    largest: RepeatedQuery,
    vectors: UserVectors,
    lenses: Lenses,
    embedder: Embedder,
    /// Held while explanations are embedded.
    embedding: Mutex<()>,
}

const MODEL: &str = "SELECT weights_uri, dtype FROM models WHERE model_id = $1";
const SOURCES: &str = "SELECT source_id, set_id, weights_uri, settings FROM sources WHERE model_id = $1 \
                       ORDER BY layer, source_id";
const DENSE: &str = "SELECT index, density FROM features WHERE model_id = $1 AND source_id = $2";

const LARGEST: &str = "SELECT max_activation FROM features WHERE model_id = $1 AND source_id = $2 AND index = $3";

/// The models of a database, for who must not keep them from going.
#[derive(Debug, Clone)]
pub(crate) struct WeakModels(Weak<Inner>);

impl WeakModels {
    pub(crate) fn upgrade(&self) -> Option<Models> {
        self.0.upgrade().map(|inner| Models { inner })
    }
}

/// A source with its name.
#[derive(Debug, Clone)]
pub(crate) struct NamedSource {
    pub(crate) id: String,
    pub(crate) source: Arc<Source>,
    /// Where its weights are and how they are read, in words that change when that does.
    pub(crate) origin: String,
    /// The vector that it is, if it is one.
    pub(crate) vector: Option<Arc<StoredVector>>,
}

/// How sources are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) fold_decoder_norm: bool,
}

impl Models {
    /// Answers the model calls of `engine`'s sessions.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn attach(engine: &Engine, options: ModelsOptions) -> Result<Self> {
        let lookup = |sql: &str| RepeatedQuery::new(engine.clone(), "latentdb", sql);
        let inner = Inner {
            service: Arc::new(Service::new(options).map_err(from_runtime)?),
            hub: Hub::default(),
            models: lookup(MODEL),
            sources: lookup(SOURCES),
            densities: lookup(DENSE),
            largest: lookup(LARGEST),
            vectors: UserVectors::new(engine),
            lenses: Lenses::new(engine),
            embedder: Embedder::from_environment(),
            embedding: Mutex::default(),
        };
        let models = Self { inner: Arc::new(inner) };
        engine.attach_models(Arc::new(models.clone()))?;
        let weak = WeakModels(Arc::downgrade(&models.inner));
        engine.register_procedure(Arc::new(GenerateDashboards::new(weak.clone())));
        engine.register_procedure(Arc::new(EvalSource::new(weak.clone())));
        engine.register_procedure(Arc::new(LayoutFeatures::new(weak.clone())));
        engine.register_procedure(Arc::new(EmbedExplanations::new(weak)));
        Ok(models)
    }

    /// The worker of a model.
    pub(crate) fn worker<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Worker>> {
        Box::pin(async move {
            let location = self.model_location(model).await?;
            let directory = self.fetch(&location, Wanted::Model).await?;
            let key = ModelKey { directory, dtype: None };
            self.blocking(move |service| service.model(&key)).await
        })
    }

    /// Where the weights of a model are, by the table.
    pub(crate) async fn model_location(&self, model: &str) -> Result<String> {
        let rows = self.inner.models.rows(&[ScalarValue::from(model)]).await?;
        if rows.num_rows() == 0 {
            return Err(Error::new(ErrorKind::UndefinedObject, format!("there is no model {model}"))
                .with_hint("SELECT model_id FROM models lists them; latentdb model add adds one"));
        }
        text_at(&rows, 0, 0)?.ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, format!("the weights of model {model} are not here"))
                .with_hint(format!("latentdb model add {model} DIR says where they are"))
        })
    }

    /// Whether a Jacobian lens of a model was added.
    pub(crate) async fn has_jacobian_lens(&self, model: &str) -> Result<bool> {
        Ok(self.inner.lenses.find(model).await?.is_some())
    }

    /// The Jacobian lens of a model.
    pub(crate) async fn jacobian_lens(&self, model: &str) -> Result<Arc<JacobianLens>> {
        let location = self.inner.lenses.location(model).await?;
        let path = self.fetch(&location, Wanted::Source).await?;
        self.blocking(move |service| service.lens(&path)).await
    }

    /// The vectors of some texts' meanings.
    pub(crate) fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<f32>>>> {
        Box::pin(self.inner.embedder.embed(&self.inner.hub, texts))
    }

    /// Name of the model that makes them.
    pub(crate) fn embedding_model(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(self.inner.embedder.identity(&self.inner.hub))
    }

    /// Waits until nobody embeds explanations: two at once would do the same work, and one's would be refused.
    pub(crate) fn embedding_turn(&self) -> BoxFuture<'_, MutexGuard<'_, ()>> {
        Box::pin(self.inner.embedding.lock())
    }

    /// Embeds explanations of `engine` as they arrive, until the models are dropped.
    pub fn keep_explanations_embedded(&self, engine: &Engine) {
        let weak = WeakModels(Arc::downgrade(&self.inner));
        drop(tokio::spawn(keep_up(weak, engine.clone())));
    }

    /// The vectors that users made.
    pub(crate) fn user_vectors(&self) -> &UserVectors {
        &self.inner.vectors
    }

    /// The sources that `names` stands for: source ids and source sets, separated by commas; `vectors` for all vectors of the
    /// model, `vectors/ID` for one.
    pub(crate) fn sources<'a>(
        &'a self,
        worker: &'a Worker,
        model: &'a str,
        names: &'a str,
        reading: Reading,
    ) -> BoxFuture<'a, Result<Vec<NamedSource>>> {
        Box::pin(self.open_sources(worker, model, names, reading))
    }

    async fn open_sources(
        &self,
        worker: &Worker,
        model: &str,
        names: &str,
        reading: Reading,
    ) -> Result<Vec<NamedSource>> {
        let known = self.known_sources(model).await?;
        let mut found: Vec<NamedSource> = Vec::new();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let entries = match self.chosen_vectors(model, name).await? {
                Some(ids) => ids.into_iter().map(|id| Entry::vector(&known, id)).collect::<Result<_>>()?,
                None => choose(&known, model, name)?,
            };
            for entry in entries {
                if found.iter().all(|other| other.id != entry.id) {
                    found.push(self.open_source(worker, model, &entry, reading).await?);
                }
            }
        }
        if found.is_empty() {
            return Err(Error::new(ErrorKind::InvalidValue, "no source is named")
                .with_hint("name one, several with commas between them, or a source set"));
        }
        Ok(found)
    }

    /// One source.
    pub(crate) async fn source(
        &self,
        worker: &Worker,
        model: &str,
        name: &str,
        reading: Reading,
    ) -> Result<NamedSource> {
        let mut found = self.sources(worker, model, name, reading).await?;
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("{model}/{name} is more than one source"))
                .with_hint("name one source, as in 10-res-jb")),
        }
    }

    /// Ids of the vectors that `name` stands for; none if it stands for other sources.
    async fn chosen_vectors(&self, model: &str, name: &str) -> Result<Option<Vec<String>>> {
        if name == VECTORS {
            let ids = self.inner.vectors.of_model(model).await?;
            if ids.is_empty() {
                return Err(Error::new(ErrorKind::UndefinedObject, format!("{model} has no vectors"))
                    .with_hint("INSERT INTO vectors (vector_id, model_id, hook_point, vector) adds one"));
            }
            return Ok(Some(ids));
        }
        Ok(name.strip_prefix(VECTORS).and_then(|rest| rest.strip_prefix('/')).map(|id| vec![id.to_owned()]))
    }

    async fn open_source(&self, worker: &Worker, model: &str, entry: &Entry, reading: Reading) -> Result<NamedSource> {
        let id = entry.id.clone();
        if entry.set == VECTORS {
            let vector = self.inner.vectors.source(model, &id).await?;
            check_width(worker, &vector)?;
            return Ok(vector);
        }
        if let Some((layer, true)) = layer_of(&id) {
            let config = worker.model().config();
            if layer >= config.n_layers {
                return Err(Error::new(ErrorKind::UndefinedObject, format!("{model} has no layer {layer}"))
                    .with_hint(format!("its layers are 0 to {}", config.n_layers.saturating_sub(1))));
            }
            let source = Arc::new(Source::neurons(layer, config.d_mlp));
            return Ok(NamedSource { id, source, origin: "neurons".to_owned(), vector: None });
        }
        let Some(location) = &entry.weights else {
            return Err(Error::new(ErrorKind::InvalidValue, format!("the weights of {model}/{id} are not here"))
                .with_hint(format!("latentdb source add {model}/{id} DIR says where they are")));
        };
        let hints = entry.hints.to_runtime()?;
        let path = self.fetch(location, Wanted::Source).await?;
        let key =
            SourceKey { path, fold_decoder_norm: reading.fold_decoder_norm, hints: entry.hints.to_json().to_string() };
        let named = format!("{model}/{id}");
        let origin = format!("{location} {}", key.hints);
        let source =
            self.blocking(move |service| service.source(&key, hints).map_err(|error| error.within(named))).await?;
        Ok(NamedSource { id, source, origin, vector: None })
    }

    /// Where weights are on this machine. What another machine has added from the hub is fetched when it is first used.
    async fn fetch(&self, location: &str, wanted: Wanted) -> Result<PathBuf> {
        let location: Location = match location.parse()? {
            Location::Path(path) => return Ok(path),
            on_hub @ Location::Hub(_) => on_hub,
        };
        let unwatched: Arc<dyn Downloads> = Arc::new(Unwatched);
        Ok(self.inner.hub.fetch(&location, wanted, &unwatched).await?.path)
    }

    /// Which features of a source fire on at least the share `least` of tokens; those without a density do not.
    pub(crate) async fn dense_features(&self, model: &str, source: &NamedSource, least: f64) -> Result<Vec<bool>> {
        let rows =
            self.inner.densities.rows(&[ScalarValue::from(model), ScalarValue::from(source.id.as_str())]).await?;
        let indices = column(&rows, 0, &DataType::Int64)?;
        let densities = column(&rows, 1, &DataType::Float64)?;
        let (indices, densities) = (indices.as_primitive::<Int64Type>(), densities.as_primitive::<Float64Type>());
        let mut allowed = vec![false; source.source.config().d_sae];
        for (index, density) in indices.iter().zip(densities) {
            let slot = index.and_then(|index| usize::try_from(index).ok()).and_then(|index| allowed.get_mut(index));
            if let (Some(slot), Some(density)) = (slot, density) {
                *slot = density >= least;
            }
        }
        Ok(allowed)
    }

    /// The largest activation of a feature that its dashboard knows; `feature` is its model, source and index.
    pub(crate) async fn max_activation(&self, feature: &[ScalarValue]) -> Result<Option<f32>> {
        let rows = self.inner.largest.rows(feature).await?;
        let largest = column(&rows, 0, &DataType::Float32)?;
        Ok(largest.as_primitive::<Float32Type>().iter().next().flatten())
    }

    async fn known_sources(&self, model: &str) -> Result<Vec<Entry>> {
        let rows = self.inner.sources.rows(&[ScalarValue::from(model)]).await?;
        (0..rows.num_rows()).map(|row| Entry::read(&rows, row)).collect()
    }

    /// Runs what loads or reads files, on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> latentdb_runtime::Result<T> + Send + 'static,
    ) -> Result<T> {
        let service = Arc::clone(&self.inner.service);
        let done = tokio::task::spawn_blocking(move || work(&service)).await;
        done.map_err(|error| Error::new(ErrorKind::Internal, format!("loading failed: {error}")))?.map_err(from_runtime)
    }
}

#[async_trait]
impl ModelService for Models {
    fn functions(&self) -> Vec<ModelFunction> {
        functions::declarations()
    }

    async fn answer(&self, request: ModelRequest) -> Result<ArrayRef> {
        functions::answer(self, request).await
    }
}

/// What the table `sources` says of one.
#[derive(Debug, Clone)]
struct Entry {
    id: String,
    set: String,
    weights: Option<String>,
    hints: SourceHints,
}

/// Key under which `sources.settings` keeps what the weights' own files do not say.
pub(crate) const HINTS: &str = "latentdb_hints";

impl Entry {
    fn read(rows: &RecordBatch, row: usize) -> Result<Self> {
        let settings = text_at(rows, 3, row)?;
        let settings: serde_json::Value =
            settings.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let hints = SourceHints::from_json(settings.get(HINTS));
        Ok(Self {
            id: text_at(rows, 0, row)?.unwrap_or_default(),
            set: text_at(rows, 1, row)?.unwrap_or_default(),
            weights: text_at(rows, 2, row)?,
            hints,
        })
    }

    /// Neurons need no entry in the table.
    fn neurons(id: &str) -> Self {
        Self::unlisted(id.to_owned(), "")
    }

    /// Neither do vectors, unless they have dashboards.
    fn vector(known: &[Self], id: String) -> Result<Self> {
        match known.iter().find(|entry| entry.id == id && entry.set != VECTORS) {
            Some(_) => Err(Error::new(
                ErrorKind::Duplicate,
                format!("vector {id} cannot be a source: there is another one of that id"),
            )
            .with_hint("give the vector another id")),
            None => Ok(Self::unlisted(id, VECTORS)),
        }
    }

    fn unlisted(id: String, set: &str) -> Self {
        Self { id, set: set.to_owned(), weights: None, hints: SourceHints::default() }
    }
}

/// The entries that `name` stands for: the source of that id, or the sources of that set whose weights are here.
fn choose(known: &[Entry], model: &str, name: &str) -> Result<Vec<Entry>> {
    if let Some(entry) = known.iter().find(|entry| entry.id == name) {
        return Ok(vec![entry.clone()]);
    }
    if layer_of(name).is_some_and(|(_, is_bare)| is_bare) {
        return Ok(vec![Entry::neurons(name)]);
    }
    let of_set: Vec<Entry> =
        known.iter().filter(|entry| entry.set == name && entry.weights.is_some()).cloned().collect();
    if !of_set.is_empty() {
        return Ok(of_set);
    }
    let error =
        Error::new(ErrorKind::UndefinedObject, format!("{model} has no source or source set {name} with weights"));
    let here: Vec<&str> =
        known.iter().filter(|entry| entry.weights.is_some()).map(|entry| entry.id.as_str()).take(20).collect();
    Err(match here.is_empty() {
        true => error.with_hint(format!("latentdb source add {model}/{name} DIR adds one")),
        false => error.with_hint(format!("there are {}", here.join(", "))),
    })
}

/// Whether a vector is as wide as the values at its point.
fn check_width(worker: &Worker, vector: &NamedSource) -> Result<()> {
    let config = vector.source.config();
    match worker.model().config().width(config.point.place) {
        Some(width) if width != config.d_in => Err(Error::new(
            ErrorKind::InvalidValue,
            format!("vector {} has {} components, and {} is {width} wide", vector.id, config.d_in, config.point),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn column(rows: &RecordBatch, number: usize, to: &DataType) -> Result<ArrayRef> {
    let column =
        rows.columns().get(number).ok_or_else(|| Error::new(ErrorKind::Internal, "a look-up lost a column"))?;
    cast(column, to).map_err(internal)
}

pub(crate) fn text_at(rows: &RecordBatch, number: usize, row: usize) -> Result<Option<String>> {
    let column = column(rows, number, &DataType::Utf8)?;
    Ok((row < column.len() && column.is_valid(row)).then(|| column.as_string::<i32>().value(row).to_owned()))
}

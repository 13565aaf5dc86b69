//! What is loaded: models, sources and lenses, the least recently used of them given up when the memory budget is reached.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use super::worker::Worker;
use crate::generate::GenerationOptions;
use crate::lens::JacobianLens;
use crate::model::{Model, OpenOptions as OpenModel, StepWeights};
use crate::source::{Hints, OpenOptions as OpenSource, Source};
use crate::{DeviceName, Error, ErrorKind, Result};

/// How the service runs.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where models run.
    pub device: DeviceName,
    /// Bytes of weights that may be loaded at a time. One that is in use stays, whatever the budget.
    pub memory: u64,
    /// Tokens of one batch.
    pub batch_tokens: usize,
    /// Passes that may wait for a model.
    pub queue: usize,
    /// Bounds of generation.
    pub generation: GenerationOptions,
    /// How models keep their weights for the steps of generation.
    pub step_weights: StepWeights,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            device: DeviceName::Cpu,
            memory: 8 << 30,
            batch_tokens: 2048,
            queue: 64,
            generation: GenerationOptions::default(),
            step_weights: StepWeights::default(),
        }
    }
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelKey {
    /// Directory of its files.
    pub directory: PathBuf,
    /// Number type to compute in, if it is not the device's default.
    pub dtype: Option<DType>,
}

/// Which source, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// Folder or file of its weights.
    pub path: PathBuf,
    /// Whether decoder norms are folded into the encoder.
    pub fold_decoder_norm: bool,
    /// Text that differs where hints differ.
    pub hints: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Model(ModelKey),
    Source(SourceKey),
    Lens(PathBuf),
}

#[derive(Debug, Clone)]
enum Loaded {
    Model(Worker),
    Source(Arc<Source>),
    Lens(Arc<JacobianLens>),
}

/// A weight of zero would keep an entry for ever.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Loaded> for Bytes {
    fn weight(&self, _key: &Key, loaded: &Loaded) -> u64 {
        let bytes = match loaded {
            Loaded::Model(worker) => worker.model().size_in_bytes(),
            Loaded::Source(source) => source.size_in_bytes(),
            Loaded::Lens(lens) => lens.size_in_bytes(),
        };
        (bytes as u64).max(1)
    }
}

/// The loaded models and sources of a process.
pub struct Service {
    options: ServiceOptions,
    /// Opened once: tensors of two openings do not meet.
    device: Device,
    loaded: Cache<Key, Loaded, Bytes>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaded = self.loaded.len();
        f.debug_struct("Service").field("options", &self.options).field("loaded", &loaded).finish_non_exhaustive()
    }
}

impl Service {
    /// A service with nothing loaded.
    ///
    /// # Errors
    /// `InvalidInput` if the options make no sense; `Unsupported` if there is no such device.
    pub fn new(options: ServiceOptions) -> Result<Self> {
        // One shard, so that an entry may be as large as the whole budget.
        let cache = OptionsBuilder::new()
            .estimated_items_capacity(64)
            .weight_capacity(options.memory)
            .shards(1)
            .build()
            .map_err(|error| Error::new(ErrorKind::InvalidInput, format!("the memory budget is no use: {error}")))?;
        let loaded = Cache::with_options(cache, Bytes, Default::default(), Default::default());
        Ok(Self { device: options.device.open()?, options, loaded })
    }

    /// The options it runs with.
    pub fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// The worker of a model, which is loaded if it is not. Blocks while it loads; callers that ask for the same
    /// model meanwhile wait for that one.
    ///
    /// # Errors
    /// What [`Model::open`] fails with.
    pub fn model(&self, key: &ModelKey) -> Result<Worker> {
        let name = key.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let load = || {
            let options =
                OpenModel { device: self.device.clone(), dtype: key.dtype, step_weights: self.options.step_weights };
            let model = Arc::new(Model::open(&key.directory, &options)?);
            let ServiceOptions { queue, batch_tokens, generation, .. } = self.options;
            Worker::start(&name, model, queue, batch_tokens, generation).map(Loaded::Model)
        };
        match self.loaded.get_or_insert_with(&Key::Model(key.clone()), load)? {
            Loaded::Model(worker) => Ok(worker),
            _ => Err(mixed_up()),
        }
    }

    /// A source, which is loaded if it is not; `hints` has what its files do not say. Blocks while it loads.
    ///
    /// # Errors
    /// What [`Source::open`] fails with.
    pub fn source(&self, key: &SourceKey, hints: Hints) -> Result<Arc<Source>> {
        let load = || {
            let device = self.device.clone();
            let options = OpenSource { device, fold_decoder_norm: key.fold_decoder_norm, hints };
            Source::open(&key.path, &options).map(|source| Loaded::Source(Arc::new(source)))
        };
        match self.loaded.get_or_insert_with(&Key::Source(key.clone()), load)? {
            Loaded::Source(source) => Ok(source),
            _ => Err(mixed_up()),
        }
    }

    /// The Jacobian lens at `path`, which is loaded if it is not. Blocks while it loads.
    ///
    /// # Errors
    /// What [`JacobianLens::open`] fails with.
    pub fn lens(&self, path: &Path) -> Result<Arc<JacobianLens>> {
        let load = || JacobianLens::open(path, &self.device).map(|lens| Loaded::Lens(Arc::new(lens)));
        match self.loaded.get_or_insert_with(&Key::Lens(path.to_owned()), load)? {
            Loaded::Lens(lens) => Ok(lens),
            _ => Err(mixed_up()),
        }
    }

    /// Bytes of weights that are loaded.
    pub fn bytes_loaded(&self) -> u64 {
        self.loaded.weight()
    }
}

fn mixed_up() -> Error {
    Error::new(ErrorKind::Internal, "one kind of weights was found where another was looked for")
}

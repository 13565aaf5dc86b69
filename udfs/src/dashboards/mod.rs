//! `generate_dashboards`: features and their activations, from weights and a corpus.
//!
//! A run has three parts. The corpus becomes prompts ([`corpus`]), and the model is run over them once, for all sources
//! together; every firing of a feature goes to files in the run's folder ([`scratch`]), from which a run that was killed goes
//! on. Then each source's features are made, some at a time ([`features`]), from their firings and from the weights. In the
//! end all of it is committed as one, in the place of the old: readers see the old dashboards or the new.
//!
//! The result depends on the corpus, the weights and the options alone, not on how the work was cut.

mod attributions;
mod correlations;
mod features;
mod options;
mod procedure;
mod prompts;
mod publish;
mod rows;
mod scratch;

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_runtime::dashboard::{ComponentSums, Firing, Firings, Found};
use latentdb_runtime::service::Worker;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

pub use self::options::{GenerateOptions, Pace};
pub(crate) use self::procedure::GenerateDashboards;
use self::scratch::Scratch;
use crate::corpus::{Cut, Prompts, special_tokens};
use crate::failure::from_runtime;
use crate::library::{Models, NamedSource, Reading};
use crate::progress::{Stage, Stages};

/// What was made for one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Source id.
    pub source: String,
    /// Features in all.
    pub features: u64,
    /// Features that fired at least once.
    pub alive: u64,
    /// Activations that are kept as examples.
    pub activations: u64,
    /// Prompts that the model was run on.
    pub prompts: u64,
    /// Of them, those that an earlier run had finished.
    pub resumed_prompts: u64,
    /// Tokens of the prompts.
    pub tokens: u64,
    /// Time that the whole run took, over all its sources.
    pub elapsed: Duration,
}

/// What a run works with.
struct Run {
    engine: Engine,
    worker: Worker,
    sources: Vec<NamedSource>,
    /// Another source whose nearest features are wanted too.
    other: Option<NamedSource>,
    options: GenerateOptions,
    cut: Cut,
    scratch: Scratch,
    progress: Arc<dyn Stages>,
}

impl Models {
    /// Makes the dashboards of some sources from a corpus, in the place of what is there. Dropping the future stops the run;
    /// the same call takes it up again.
    ///
    /// # Errors
    /// If there is no such model or source, or the corpus cannot be read; the database is as before then.
    pub async fn generate_dashboards(
        &self,
        engine: &Engine,
        options: GenerateOptions,
        progress: Arc<dyn Stages>,
    ) -> Result<Vec<Generated>> {
        if engine.is_read_only() {
            let message = "cannot generate dashboards: the database is open read-only here";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        let started = Instant::now();
        let worker = self.worker(&options.model).await?;
        let reading = Reading { fold_decoder_norm: true };
        let sources = self.sources(&worker, &options.model, &options.sources, reading).await?;
        let other = match &options.nearest_source {
            Some(name) => Some(self.source(&worker, &options.model, name, reading).await?),
            None => None,
        };
        check_nearest(&sources, other.as_ref())?;
        let cut = options.corpus.cut(worker.model(), &sources)?;
        let name = fingerprint(&self.model_location(&options.model).await?, &sources, &options, cut);
        let scratch = Scratch::open(&engine.scratch_directory()?, &name)?;
        let _alone = Alone::new(scratch.folder())?;
        let run = Run { engine: engine.clone(), worker, sources, other, options, cut, scratch, progress };
        let prompts = Arc::new(run.prompts().await?);
        let (resumed, sums) = run.run_model(&prompts).await?;
        let mut made = Box::pin(run.publish(&prompts, sums)).await?;
        for generated in &mut made {
            generated.resumed_prompts = resumed as u64;
            generated.elapsed = started.elapsed();
        }
        run.scratch.remove();
        Ok(made)
    }
}

impl Run {
    /// The prompts: those of the run that is taken up, or new ones.
    async fn prompts(&self) -> Result<Prompts> {
        if let Some(prompts) = self.scratch.prompts()? {
            return Ok(prompts);
        }
        let model = self.worker.model();
        let prompts = self.options.corpus.read(&self.engine, model, self.cut, self.progress.as_ref()).await?;
        self.scratch.keep_prompts(&prompts)?;
        Ok(prompts)
    }

    /// Runs the model over the prompts that have not been run; how many had been, and the sums over all.
    async fn run_model(&self, prompts: &Prompts) -> Result<(usize, Vec<ComponentSums>)> {
        let resumed = self.scratch.prompts_done()?.min(prompts.len());
        self.progress.begin(Stage::Activations, resumed as u64, prompts.len() as u64);
        let masked = Arc::new(self.masked());
        let sources: Vec<_> = self.sources.iter().map(|source| Arc::clone(&source.source)).collect();
        let at_once = (self.options.pace.tokens_at_once / self.cut.context_length).max(1);
        let mut unwritten = Unwritten::new(resumed, sources.len());
        let mut sums = self.sums(resumed)?;
        let mut next = resumed;
        while next < prompts.len() {
            let some = prompts.some(next, at_once);
            let count = some.len();
            let pass = Firings::new(sources.clone(), Arc::clone(&masked), next as u32).with_sums(sums);
            let found = self.worker.run(some, pass).await.map_err(from_runtime)?;
            next += count;
            unwritten.take(found.firings);
            sums = found.sums;
            if next == prompts.len() || unwritten.is_due(&self.options.pace) {
                let firings = std::mem::replace(&mut unwritten, Unwritten::new(next, sources.len()));
                let found = Found { firings: firings.found, sums };
                sums = self.keep(firings.first..next, found).await?;
            }
            self.progress.advance(count as u64);
        }
        Ok((resumed, sums))
    }

    /// The sums over the first prompts; none if nothing needs them.
    fn sums(&self, prompts: usize) -> Result<Vec<ComponentSums>> {
        if self.options.correlated == 0 {
            return Ok(Vec::new());
        }
        let configs = self.sources.iter().map(|source| source.source.config());
        let none: Vec<_> = configs.map(|config| ComponentSums::new(config.d_sae, config.d_in)).collect();
        if prompts == 0 { Ok(none) } else { self.scratch.sums(prompts, none) }
    }

    /// Writes what was found in some prompts, and the sums up to there, which it gives back. Firings come last: a run that is
    /// taken up begins where they end.
    async fn keep(&self, prompts: Range<usize>, found: Found) -> Result<Vec<ComponentSums>> {
        let scratch = self.scratch.clone();
        let keep = move || -> Result<_> {
            if !found.sums.is_empty() {
                scratch.keep_sums(prompts.end, &found.sums)?;
            }
            let end = prompts.end;
            scratch.keep(prompts, found.firings)?;
            scratch.forget_sums_before(end);
            Ok(found.sums)
        };
        tokio::task::spawn_blocking(keep).await.map_err(crate::arguments::internal)?
    }

    /// Tokens on which nothing counts as active.
    fn masked(&self) -> HashSet<u32> {
        if self.options.mask_special { special_tokens(self.worker.model()) } else { HashSet::new() }
    }
}

/// Firings that are not written yet.
struct Unwritten {
    first: usize,
    found: Vec<Vec<Firing>>,
    since: Instant,
}

impl Unwritten {
    fn new(first: usize, sources: usize) -> Self {
        Self { first, found: vec![Vec::new(); sources], since: Instant::now() }
    }

    fn take(&mut self, found: Vec<Vec<Firing>>) {
        self.found.iter_mut().zip(found).for_each(|(all, some)| all.extend(some));
    }

    fn is_due(&self, pace: &Pace) -> bool {
        let count: usize = self.found.iter().map(Vec::len).sum();
        count >= pace.firings_in_memory || self.since.elapsed() >= pace.longest_unwritten
    }
}

/// Whether the nearest features of `other` can be found: it has directions, as wide as those of each source.
fn check_nearest(sources: &[NamedSource], other: Option<&NamedSource>) -> Result<()> {
    let Some(other) = other else { return Ok(()) };
    let refused =
        |why: String| Error::new(ErrorKind::InvalidValue, format!("nearest_source cannot be {}: {why}", other.id));
    if other.source.decoder().is_err() {
        return Err(refused("neurons have no decoder directions".to_owned()));
    }
    let width = other.source.config().d_out;
    match sources.iter().find(|source| source.source.config().d_out != width) {
        Some(source) => {
            let own = source.source.config().d_out;
            Err(refused(format!("its directions have {width} components, and those of {} have {own}", source.id)))
        }
        None => Ok(()),
    }
}

/// What the firings of a run depend on, as the name of its folder.
fn fingerprint(model: &str, sources: &[NamedSource], options: &GenerateOptions, cut: Cut) -> String {
    let sources: Vec<_> = sources.iter().map(|source| json!([source.id, source.origin])).collect();
    let facts = json!([
        options.model,
        model,
        sources,
        options.corpus.corpus.identity(),
        cut.n_prompts,
        cut.context_length,
        cut.packing.to_string(),
        cut.prepend_bos,
        options.mask_special,
        options.correlated > 0,
    ]);
    format!("{}{:032x}", scratch::PREFIX, xxh3_128(facts.to_string().as_bytes()))
}

/// Runs that are under way in this process.
static RUNNING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Holds a run's folder: two runs in one would write the same files.
struct Alone(PathBuf);

impl Alone {
    fn new(folder: &Path) -> Result<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.iter().any(|other| other == folder) {
            return Err(Error::new(ErrorKind::Duplicate, "the same dashboards are being generated already")
                .with_hint("wait for that run, or cancel it"));
        }
        running.push(folder.to_owned());
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != self.0);
    }
}

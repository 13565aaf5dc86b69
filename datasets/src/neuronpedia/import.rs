//! The import: each source read in parallel, checked, and committed as one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use latentdb_engine::{Engine, Error, ErrorKind, Load, Result, StagedFile};
use tokio::runtime::Handle;

use super::check;
use super::contexts::Contexts;
use super::find::{self, SourceFiles};
use super::layout::{Kind, SourceAddress};
use super::location::{InputFile, Location};
use super::ranks::{concerns, split_features, survey};
use super::registry::{Registry, SOURCE};
use super::resume::{Finished, Manifest};
use super::unit::{Summary, Unit};
use crate::{Phase, Progress, Quiet};

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Replace sources that the database has already; without it they are an error.
    pub replace: bool,
    /// Import what is there even if batch files are missing from the sequence.
    pub allow_gaps: bool,
    /// Threads that read; `None` for one per core.
    pub threads: Option<usize>,
    /// Where to note what is finished, so that an interrupted import can go on; `None` to always start anew.
    pub state_directory: Option<PathBuf>,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Each source, in the order of their addresses.
    pub sources: Vec<SourceReport>,
}

/// What the import of one source did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The source.
    pub address: SourceAddress,
    /// Rows added, by table.
    pub rows: BTreeMap<String, u64>,
    /// Input files.
    pub files: usize,
    /// Input files that an earlier, interrupted import had finished.
    pub resumed_files: usize,
    /// Keys that were passed over because nothing here stands for them (`kind.key`), and how often they came.
    pub unknown_keys: BTreeMap<String, u64>,
    /// What a person should know about the data.
    pub warnings: Vec<String>,
    /// Time it took.
    pub elapsed: Duration,
}

/// Size of batch files, as stored, that one unit reads.
const UNIT_BYTES: u64 = 32 << 20;
/// Units per thread to aim for, so that the threads end together.
const UNITS_PER_THREAD: u64 = 6;
/// What a file is taken to weigh where its size is not known.
const UNKNOWN_BYTES: u64 = 8 << 20;

/// Imports every source at `location` into the database: a directory or an HTTP(S) URL, of one source, a model, or
/// the whole tree. Each source becomes visible as one when all of it is read; an error leaves the database
/// as it was but for the sources reported finished before it. Dropping the future stops the import.
pub async fn import(
    engine: &Engine,
    location: &str,
    options: ImportOptions,
    progress: Arc<dyn Progress>,
) -> Result<ImportReport> {
    if engine.is_read_only() {
        return Err(Error::new(ErrorKind::ReadOnly, "cannot import: the database is open read-only here"));
    }
    let _turn = engine.bulk_turn().await;
    progress.begin(Phase::Listing, location, None);
    let location = Location::open(location).await?;
    let mut importer = Importer { engine, location, options, progress, contexts: HashMap::new() };
    let mut report = ImportReport::default();
    for folder in find::sources(&importer.location).await? {
        let source = Box::pin(importer.import_source(&folder)).await?;
        for warning in &source.warnings {
            importer.progress.note(&format!("{}: {warning}", source.address));
        }
        report.sources.push(source);
    }
    Ok(report)
}

struct Importer<'a> {
    engine: &'a Engine,
    location: Location,
    options: ImportOptions,
    progress: Arc<dyn Progress>,
    /// Contexts by model, kept from source to source.
    contexts: HashMap<String, Arc<Contexts>>,
}

/// Tells reading threads to stop when the import ends, however it ends.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Importer<'_> {
    async fn import_source(&mut self, folder: &str) -> Result<SourceReport> {
        let started = Instant::now();
        let files = SourceFiles::list(&self.location, folder, self.options.allow_gaps).await?;
        let registry = files.registry(&self.location).await?;
        let address = registry.address.clone();
        if !self.options.replace {
            self.refuse_existing(&address).await?;
        }
        let load = Arc::new(self.engine.load().await?);
        let contexts = self.contexts_of(&address.model_id).await?;
        let mut manifest = match &self.options.state_directory {
            Some(folder) => Some(Manifest::open(folder, &address, &files.all(), &load, &contexts).await?),
            None => None,
        };
        let mut finished = manifest.as_ref().map_or_else(Vec::new, |manifest| manifest.units().to_vec());
        let resumed_files = finished.iter().map(|unit| unit.inputs.len()).sum();

        self.progress.begin(Phase::Reading, &address.to_string(), files.bytes());
        let stop = StopOnDrop::default();
        let units = self.plan(&files, &finished, &address, &contexts, &stop);
        self.skip_progress(&files, &finished);
        {
            let mut running =
                stream::iter(units).map(|unit| run(unit, Arc::clone(&load))).buffer_unordered(self.threads());
            while let Some(unit) = running.next().await {
                let unit = unit?;
                if let Some(manifest) = &mut manifest {
                    manifest.record(unit.clone())?;
                }
                finished.push(unit);
            }
        }
        let template = self.unit(Kind::Activations, Vec::new(), &address, &contexts, &stop);
        self.repair_ranks(&mut finished, &files, &template, &load).await?;
        let warnings = check::units(&finished, &contexts)?;

        self.progress.begin(Phase::Merging, &address.to_string(), None);
        let staged = merge(&load, &finished).await?;
        let mut rows = check::staged(&finished, &staged)?;
        let mut load = Arc::into_inner(load)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a reading thread outlived its import"))?;
        self.progress.begin(Phase::Committing, &address.to_string(), None);
        if self.options.replace {
            for table in ["features", "activations", "explanations"] {
                load.delete(table, &address.predicate());
            }
        }
        for file in staged {
            load.add(file);
        }
        Box::pin(self.add_registry(&mut load, &registry, &mut rows)).await?;
        Box::pin(load.commit(&format!("import neuronpedia {address}"))).await?;
        if let Some(manifest) = manifest {
            manifest.remove();
        }
        Ok(SourceReport {
            address,
            rows,
            files: files.all().len(),
            resumed_files,
            unknown_keys: check::unknown_keys(&finished),
            warnings,
            elapsed: started.elapsed(),
        })
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        self.options.threads.unwrap_or_else(cores).max(1)
    }

    /// The contexts the database holds for a model, read once an import.
    async fn contexts_of(&mut self, model_id: &str) -> Result<Arc<Contexts>> {
        if let Some(known) = self.contexts.get(model_id) {
            return Ok(Arc::clone(known));
        }
        let contexts = Arc::new(Contexts::load(self.engine, model_id).await?);
        self.contexts.insert(model_id.to_owned(), Arc::clone(&contexts));
        Ok(contexts)
    }

    async fn refuse_existing(&self, address: &SourceAddress) -> Result<()> {
        for table in ["sources", "features", "activations", "explanations"] {
            if exists(self.engine, table, &address.predicate()).await? {
                return Err(Error::new(
                    ErrorKind::Duplicate,
                    format!("source \"{address}\" is already in the database"),
                )
                .with_hint("use replace to put the export in its place"));
            }
        }
        Ok(())
    }

    /// Parts the files that are not finished into units of about the same size, activations first: they take longest.
    fn plan(
        &self,
        files: &SourceFiles,
        finished: &[Finished],
        address: &SourceAddress,
        contexts: &Arc<Contexts>,
        stop: &StopOnDrop,
    ) -> Vec<Unit> {
        let done: HashSet<&str> = finished.iter().flat_map(|unit| &unit.inputs).map(String::as_str).collect();
        let weight = |file: &InputFile| file.bytes.unwrap_or(UNKNOWN_BYTES);
        let mut units = Vec::new();
        for (kind, files) in &files.batches {
            let total: u64 = files.iter().map(weight).sum();
            let share = total / (self.threads() as u64 * UNITS_PER_THREAD);
            let target = share.min(UNIT_BYTES);
            let mut group: Vec<(u32, InputFile)> = Vec::new();
            let mut grouped = 0;
            for (ordinal, file) in (0_u32..).zip(files) {
                if done.contains(file.path.as_str()) {
                    continue;
                }
                grouped += weight(file);
                group.push((ordinal, file.clone()));
                if grouped >= target {
                    units.push(self.unit(*kind, std::mem::take(&mut group), address, contexts, stop));
                    grouped = 0;
                }
            }
            if !group.is_empty() {
                units.push(self.unit(*kind, group, address, contexts, stop));
            }
        }
        units.sort_by_key(|unit| unit.kind != Kind::Activations);
        units
    }

    fn unit(
        &self,
        kind: Kind,
        files: Vec<(u32, InputFile)>,
        address: &SourceAddress,
        contexts: &Arc<Contexts>,
        stop: &StopOnDrop,
    ) -> Unit {
        Unit {
            kind,
            files,
            location: self.location.clone(),
            address: address.clone(),
            contexts: Arc::clone(contexts),
            progress: Arc::clone(&self.progress),
            stop: Arc::clone(&stop.0),
            ranks: None,
        }
    }

    /// Counts what an earlier import had read.
    fn skip_progress(&self, files: &SourceFiles, finished: &[Finished]) {
        let done: HashSet<&str> = finished.iter().flat_map(|unit| &unit.inputs).map(String::as_str).collect();
        let bytes: u64 =
            files.all().iter().filter(|file| done.contains(file.path.as_str())).filter_map(|file| file.bytes).sum();
        let rows: u64 = finished.iter().filter_map(|unit| unit.summary.rows.get(unit.kind.name())).sum();
        if rows > 0 {
            self.progress.note(&format!("{} files were read by an earlier import", done.len()));
            self.progress.advance(rows, bytes);
        }
    }

    /// Writes anew the activations of features that were torn apart.
    async fn repair_ranks(
        &self,
        finished: &mut [Finished],
        files: &SourceFiles,
        template: &Unit,
        load: &Arc<Load>,
    ) -> Result<()> {
        let features = Arc::new(split_features(finished.iter().filter(|unit| unit.kind == Kind::Activations)));
        if features.is_empty() {
            return Ok(());
        }
        self.progress.note(&format!(
            "the activations of {} features are spread over several files: those are read again to rank them",
            features.len()
        ));
        let ordinals: HashMap<&str, (u32, &InputFile)> = files
            .batches
            .iter()
            .filter(|(kind, _)| *kind == Kind::Activations)
            .flat_map(|(_, files)| (0_u32..).zip(files))
            .map(|(ordinal, file)| (file.path.as_str(), (ordinal, file)))
            .collect();
        let again = |unit: &Finished| {
            let files = unit.inputs.iter().filter_map(|path| ordinals.get(path.as_str()));
            let files = files.map(|(ordinal, file)| (*ordinal, (*file).clone())).collect();
            Unit { files, progress: Arc::new(Quiet), ..template.clone() }
        };
        let torn: Vec<usize> = (0..)
            .zip(finished.iter())
            .filter(|(_, unit)| unit.kind == Kind::Activations && concerns(unit, &features))
            .map(|(at, _)| at)
            .collect();
        let units: Vec<Unit> = torn.iter().filter_map(|at| finished.get(*at)).map(again).collect();
        let surveyed = units.clone();
        let ranks = blocking(move |runtime| survey(&surveyed, &features, runtime)).await?;
        let ranks = Arc::new(ranks);
        for (at, unit) in torn.into_iter().zip(units) {
            let written = run(Unit { ranks: Some(Arc::clone(&ranks)), ..unit }, Arc::clone(load)).await?;
            if let Some(old) = finished.get_mut(at) {
                // Its contexts are written already, and not claimed a second time.
                let (wrong, kept) = old.staged.drain(..).partition(|file| file.table == Kind::Activations.name());
                old.staged = kept;
                old.staged.extend(written.staged);
                load.discard(&wrong).await;
            }
        }
        Ok(())
    }

    /// Adds the single rows: the source's own always, those it shares with others if they are new or to be replaced.
    async fn add_registry(&self, load: &mut Load, registry: &Registry, rows: &mut BTreeMap<String, u64>) -> Result<()> {
        let batches = registry.batches()?;
        for ((file, batch), (_, row)) in batches.into_iter().zip(&registry.rows) {
            let Some(predicate) = file.predicate(row) else { continue };
            if self.options.replace {
                load.delete(file.table, &predicate);
            } else if file.table != SOURCE.table && exists(self.engine, file.table, &predicate).await? {
                continue;
            }
            if let Some(staged) = load.write(file.table, vec![batch]).await? {
                *rows.entry(staged.table.clone()).or_default() += staged.rows;
                load.add(staged);
            }
        }
        Ok(())
    }
}

/// Reads a unit on a thread of its own, which also writes what it reads.
async fn run(unit: Unit, load: Arc<Load>) -> Result<Finished> {
    let kind = unit.kind;
    let inputs = unit.files.iter().map(|(_, file)| file.path.clone()).collect();
    let (summary, staged) = blocking(move |runtime| {
        let mut staged: Vec<StagedFile> = Vec::new();
        let summary: Summary = unit.read(runtime, &mut |table, rows| {
            staged.extend(runtime.block_on(load.write(table, vec![rows]))?);
            Ok(())
        })?;
        Ok((summary, staged))
    })
    .await?;
    Ok(Finished { kind, inputs, staged, summary })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce(&Handle) -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || work(&runtime)).await.map_err(|error| died(&error))?
}

fn died(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, format!("a reading thread ended early: {error}"))
}

/// Puts the small files together. Activations stay as they were written: each file holds its own range of features.
async fn merge(load: &Load, finished: &[Finished]) -> Result<Vec<StagedFile>> {
    let mut by_table: BTreeMap<&str, Vec<StagedFile>> = BTreeMap::new();
    for file in finished.iter().flat_map(|unit| &unit.staged) {
        by_table.entry(file.table.as_str()).or_default().push(file.clone());
    }
    let mut staged = Vec::new();
    for (table, files) in by_table {
        if files.len() > 1 && table != Kind::Activations.name() {
            staged.extend(load.merge(table, files).await?);
        } else {
            staged.extend(files);
        }
    }
    Ok(staged)
}

/// Whether `table` has a row that fits `predicate`.
async fn exists(engine: &Engine, table: &str, predicate: &str) -> Result<bool> {
    let query = format!("SELECT 1 FROM {table} WHERE {predicate} LIMIT 1");
    let rows = engine.session("").query(&query).await?.collect().await?;
    Ok(rows.iter().any(|batch| batch.num_rows() > 0))
}

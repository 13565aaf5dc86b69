//! `layout_features`: the map of a source's features, or of what is said of them, into the columns `umap_…`.

mod procedure;
mod vectors;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, Float32Array, Int32Array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_runtime::layout::{self, LayoutSettings, Placed};

pub(crate) use self::procedure::LayoutFeatures;
pub use self::vectors::Vectors;
use crate::arguments::internal;
use crate::failure::from_runtime;
use crate::library::Models;
use crate::progress::{Stage, Stages};
use crate::tables::{of_source, with_columns};

/// What to lay out, and how.
#[derive(Debug, Clone)]
pub struct LayoutOptions {
    /// Model id.
    pub model: String,
    /// Source id.
    pub source: String,
    /// Whose vectors.
    pub of: Vectors,
    /// Of the layout.
    pub settings: LayoutSettings,
}

/// What was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaidOut {
    /// Rows that have a place.
    pub placed: u64,
    /// Rows that have none: their vectors are zero, or missing.
    pub unplaced: u64,
    /// Clusters.
    pub clusters: u64,
}

impl Models {
    /// Lays out the features of a source, or their explanations, and writes their places in one commit. Dropping the
    /// future stops the run.
    ///
    /// # Errors
    /// If there is no such source, or nothing to lay out; the table is as before then.
    pub async fn layout_features(
        &self,
        engine: &Engine,
        options: LayoutOptions,
        progress: Arc<dyn Stages>,
    ) -> Result<LaidOut> {
        if engine.is_read_only() {
            return Err(Error::new(ErrorKind::ReadOnly, "cannot keep a layout: the database is open read-only here"));
        }
        let rows = rows(engine, &options).await?;
        if rows.num_rows() == 0 {
            let (table, place) = (options.of.table(), format!("{}/{}", options.model, options.source));
            return Err(Error::new(ErrorKind::UndefinedObject, format!("there are no {table} of {place} to lay out"))
                .with_hint("CALL generate_dashboards makes features, and an import brings features and explanations"));
        }
        let found = self.vectors(&options, &rows).await?;
        let settings = options.settings.clone();
        let stop = StopOnDrop::default();
        let (stopped, heard) = (Arc::clone(&stop.0), Arc::clone(&progress));
        let work = move || {
            let mut told = Told::default();
            layout::layout(&found.matrix, &settings, &mut |at| {
                told.tell(heard.as_ref(), at);
                if stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map(|places| found.keys.into_iter().zip(places).collect::<HashMap<String, Option<Placed>>>())
        };
        let places = tokio::task::spawn_blocking(work).await.map_err(internal)?.map_err(from_runtime)?;
        progress.begin(Stage::Committing, 0, 0);
        write(engine, &options, &places).await
    }
}

/// Stops the work when nobody waits for it.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What has been told of the progress.
#[derive(Default)]
struct Told {
    stage: Option<layout::Stage>,
    done: usize,
}

impl Told {
    fn tell(&mut self, progress: &dyn Stages, at: layout::Progress) {
        if self.stage != Some(at.stage) {
            (self.stage, self.done) = (Some(at.stage), 0);
            let stage = match at.stage {
                layout::Stage::Neighbors => Stage::Neighbors,
                layout::Stage::Descent => Stage::Layout,
            };
            progress.begin(stage, 0, at.total as u64);
        }
        progress.advance(at.done.saturating_sub(self.done) as u64);
        self.done = at.done;
    }
}

/// All rows to lay out.
async fn rows(engine: &Engine, options: &LayoutOptions) -> Result<RecordBatch> {
    let (table, key) = (options.of.table(), options.of.key());
    let query = format!("SELECT * FROM {table} WHERE {} ORDER BY {key}", of_source(&options.model, &options.source));
    let found = engine.session("latentdb").query(&query).await?;
    let schema = Arc::clone(found.schema());
    concat_batches(&schema, &found.collect().await?).map_err(internal)
}

/// The key of each row, as text.
fn keys(of: Vectors, rows: &RecordBatch) -> Result<Vec<String>> {
    let column = rows.column_by_name(of.key()).ok_or_else(|| internal("no key"))?;
    let column = cast(column, &DataType::Utf8).map_err(internal)?;
    Ok(column.as_string::<i32>().iter().map(|key| key.unwrap_or_default().to_owned()).collect())
}

/// Writes the places of the rows. They are read again, so that what was written in the meantime stays.
async fn write(engine: &Engine, options: &LayoutOptions, places: &HashMap<String, Option<Placed>>) -> Result<LaidOut> {
    let _turn = engine.bulk_turn().await;
    let mut load = Box::pin(engine.load()).await?;
    let rows = rows(engine, options).await?;
    let own: Vec<Option<Placed>> =
        keys(options.of, &rows)?.iter().map(|key| places.get(key).copied().flatten()).collect();
    let real = |of: fn(&Placed) -> f32| -> ArrayRef {
        Arc::new(own.iter().map(|place| place.as_ref().map(of)).collect::<Float32Array>())
    };
    let cluster = own.iter().map(|place| place.and_then(|place| place.cluster).map(|number| number as i32));
    let mut values = vec![
        ("umap_x", real(|place| place.x)),
        ("umap_y", real(|place| place.y)),
        ("umap_cluster", Arc::new(cluster.collect::<Int32Array>()) as ArrayRef),
    ];
    if let Some(density) = rows.column_by_name("density") {
        let density = cast(density, &DataType::Float64).map_err(internal)?;
        let logs = density.as_primitive::<Float64Type>().iter();
        let logs = logs.map(|density| density.filter(|density| *density > 0.0).map(|density| density.log10() as f32));
        values.push(("umap_log_sparsity", Arc::new(logs.collect::<Float32Array>())));
    }
    let table = options.of.table();
    load.delete(table, &of_source(&options.model, &options.source));
    let written = load.write(table, vec![with_columns(&rows, &values)?]).await?;
    written.into_iter().for_each(|file| load.add(file));
    Box::pin(load.commit(&format!("lay out {}/{}", options.model, options.source))).await?;
    let placed: Vec<Placed> = own.iter().flatten().copied().collect();
    let clusters = placed.iter().filter_map(|place| place.cluster).max().map_or(0, |last| u64::from(last) + 1);
    Ok(LaidOut { placed: placed.len() as u64, unplaced: (own.len() - placed.len()) as u64, clusters })
}

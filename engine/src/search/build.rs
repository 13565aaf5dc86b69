//! Building segments for data files that an index does not cover, and merging small ones.
//!
//! Searches go on meanwhile: they read what is not covered. A build that is stopped leaves nothing behind but a file that nobody
//! names.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::SessionState;
use futures::TryStreamExt;
use latentdb_vectors::{BuildOptions, SegmentBuilder};

use super::definition::{IndexKind, VectorOptions};
use super::failure::{from_text, from_vectors};
use super::index::{Build, Index};
use super::read::located;
use super::segment::{CoveredFile, Segment, SegmentFiles};
use super::threads::blocking;
use super::values::{Texts, Vectors};
use crate::storage::files::LiveFile;
use crate::storage::scan::ScanTarget;
use crate::{Error, ErrorKind, Result};

/// Segments that are let be; more are merged.
const SEGMENTS: usize = 8;
/// Rows from which on a segment is no longer merged with others.
const LARGE: u64 = 2_000_000;
/// Share of a segment's rows that are of files still there, in percent, below which it is built anew.
const LIVE_SHARE: u64 = 70;

/// Hears how far a build is: rows done, and in all.
pub(crate) type Progress = dyn Fn(u64, u64) + Send + Sync;

/// What has to be done for an index to cover a table as it is.
struct Work {
    files: Vec<Arc<LiveFile>>,
    /// Segments that the new one takes the place of.
    replaced: HashSet<String>,
}

/// Makes `index` cover all files of `target`. Answers how many rows were indexed anew.
pub(crate) async fn cover(
    index: &Arc<Index>,
    target: &ScanTarget,
    state: &SessionState,
    progress: Arc<Progress>,
) -> Result<u64> {
    let _turn = index.building.lock().await;
    index.check_there()?;
    let Some(work) = plan(index, target) else { return Ok(0) };
    let files = SegmentFiles {
        name: String::new(),
        files: work.files.iter().map(|file| covered(file)).collect::<Result<_>>()?,
    };
    let rows = files.rows();
    let underway = Underway(index);
    let progress = underway.heard_by(progress);
    progress(0, rows);
    let source = Source { index, target, state, files: &work.files, progress: Arc::clone(&progress), rows };
    let paths = match &index.definition.kind {
        IndexKind::Text => vec![source.texts().await?],
        IndexKind::Vector(options) => source.vectors(options).await?,
    };
    let own = Arc::clone(index);
    blocking(move || {
        let open = |path: PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Segment::open(&path, SegmentFiles { name, ..files.clone() }, &own.definition.kind).map(Arc::new)
        };
        let new = paths.into_iter().map(open).collect::<Result<_>>()?;
        own.replace(&work.replaced, new)
    })
    .await?;
    Ok(rows)
}

/// Shows how far the build of an index is, as long as it lasts.
struct Underway<'a>(&'a Arc<Index>);

impl Underway<'_> {
    /// Tells the index before `progress`.
    fn heard_by(&self, progress: Arc<Progress>) -> Arc<Progress> {
        let index = Arc::clone(self.0);
        Arc::new(move |done, total| {
            index.set_build(Some(Build { done, total }));
            progress(done, total);
        })
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.set_build(None);
    }
}

/// Rows of `target` that `index` does not cover.
pub(crate) fn uncovered_rows(index: &Index, target: &ScanTarget) -> u64 {
    let segments = index.segments();
    let known: HashSet<&str> =
        segments.iter().flat_map(|segment| &segment.files.files).map(|file| file.path.as_str()).collect();
    target.files.iter().filter(|file| !known.contains(file.path())).filter_map(|file| file.rows).sum()
}

/// What is missing; none if nothing is.
fn plan(index: &Index, target: &ScanTarget) -> Option<Work> {
    let segments = index.segments();
    let live: HashSet<&str> = target.files.iter().map(|file| file.path()).collect();
    let known: HashSet<&str> =
        segments.iter().flat_map(|segment| &segment.files.files).map(|file| file.path.as_str()).collect();
    let is_missing = target.files.iter().any(|file| !known.contains(file.path()));
    let live_rows = |segment: &Segment| -> u64 {
        let files = segment.files.files.iter().filter(|file| live.contains(file.path.as_str()));
        files.map(|file| u64::from(file.rows)).sum()
    };
    let is_worn = |segment: &Segment| live_rows(segment) * 100 < segment.files.rows() * LIVE_SHARE;
    let mut replaced: Vec<&Arc<Segment>> = segments.iter().filter(|segment| is_worn(segment)).collect();
    if !is_missing && replaced.is_empty() && segments.len() <= SEGMENTS {
        return None;
    }
    if segments.len() - replaced.len() + 1 > SEGMENTS {
        replaced = segments.iter().filter(|segment| is_worn(segment) || live_rows(segment) < LARGE).collect();
    }
    let again: HashSet<&str> = replaced
        .iter()
        .flat_map(|segment| &segment.files.files)
        .map(|file| file.path.as_str())
        .filter(|path| live.contains(path))
        .collect();
    let wanted = |file: &&Arc<LiveFile>| !known.contains(file.path()) || again.contains(file.path());
    let files = target.files.iter().filter(wanted).cloned().collect();
    let replaced = replaced.iter().map(|segment| segment.files.name.clone()).collect();
    Some(Work { files, replaced })
}

fn covered(file: &LiveFile) -> Result<CoveredFile> {
    let rows = file.rows.and_then(|rows| u32::try_from(rows).ok()).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("file {} does not say how many rows it has", file.path()))
            .with_hint("CALL optimize(…) writes the table's files anew")
    })?;
    Ok(CoveredFile { path: file.path().to_owned(), rows })
}

/// What a segment is built from.
struct Source<'a> {
    index: &'a Arc<Index>,
    target: &'a ScanTarget,
    state: &'a SessionState,
    files: &'a [Arc<LiveFile>],
    progress: Arc<Progress>,
    rows: u64,
}

impl Source<'_> {
    /// Lets `take` see the column, batch by batch, in the order of the segment's rows.
    async fn each(&self, mut take: impl FnMut(&arrow::array::ArrayRef) -> Result<()>) -> Result<()> {
        let mut done = 0;
        for file in self.files {
            let mut one = self.target.clone();
            one.files = vec![Arc::clone(file)];
            let column = &self.index.definition.column;
            let mut batches = located(&one, self.state, Some(column), &[])?;
            while let Some(batch) = batches.try_next().await? {
                self.index.check_there()?;
                if let Some(values) = batch.column_by_name(column) {
                    take(values)?;
                }
                done += batch.num_rows() as u64;
                (self.progress)(done.min(self.rows), self.rows);
            }
        }
        Ok(())
    }

    /// Writes a segment of texts.
    async fn texts(&self) -> Result<PathBuf> {
        let mut builder = latentdb_text::SegmentBuilder::new(latentdb_text::Analysis::default()).map_err(from_text)?;
        self.each(|column| {
            let texts = Texts::new(column)?;
            for row in 0..column.len() {
                builder.add(texts.get(row).as_deref()).map_err(from_text)?;
            }
            Ok(())
        })
        .await?;
        let path = self.index.new_path();
        blocking(move || {
            builder.finish().and_then(|segment| segment.write(&path)).map_err(from_text)?;
            Ok(path)
        })
        .await
    }

    /// Writes a segment of vectors for each dimension that there is: a column may hold those of several models.
    async fn vectors(&self, options: &VectorOptions) -> Result<Vec<PathBuf>> {
        let build = BuildOptions { links: options.m, effort: options.ef_construction, ..BuildOptions::default() };
        let mut builders: BTreeMap<usize, SegmentBuilder> = BTreeMap::new();
        let mut row = 0u32;
        self.each(|column| {
            let vectors = Vectors::new(column)?;
            for number in 0..column.len() {
                if let Some(vector) = vectors.get(number).filter(|vector| !vector.is_empty()) {
                    let builder = match builders.entry(vector.len()) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            new.insert(SegmentBuilder::new(vector.len(), options.metric, build).map_err(from_vectors)?)
                        }
                    };
                    // One without a distance to anything is left out: no search asks for it.
                    if let Err(error) = builder.push(row, vector) {
                        tracing::debug!(%error, row, "a vector is left out of its index");
                    }
                }
                row = row.saturating_add(1);
            }
            Ok(())
        })
        .await?;
        if builders.is_empty() {
            builders.insert(1, SegmentBuilder::new(1, options.metric, build).map_err(from_vectors)?);
        }
        let (progress, rows) = (Arc::clone(&self.progress), self.rows);
        let mut written = Vec::new();
        for builder in builders.into_values() {
            let (path, progress, index) = (self.index.new_path(), Arc::clone(&progress), Arc::clone(self.index));
            let write = move || {
                let told = |how: latentdb_vectors::Progress| {
                    progress(rows * how.done as u64 / (how.total as u64).max(1), rows);
                    if index.check_there().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                let written = builder.write(&path, told);
                index.check_there()?;
                written.map_err(from_vectors)?;
                Ok(path)
            };
            written.push(blocking(write).await?);
        }
        Ok(written)
    }
}

//! One unit of an import: some batch files of one kind, read by one thread and written to data files.
//!
//! A unit is what a resumed import need not do again. It holds a bounded number of rows at a time and hands on
//! what is full.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use latentdb_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use xxhash_rust::xxh3::xxh3_128;

use super::activations::{Activations, Ranks};
use super::contexts::Contexts;
use super::index_set::IndexSet;
use super::layout::{Kind, SourceAddress};
use super::lines::Lines;
use super::location::{InputFile, Location};
use super::record::RecordReader;
use crate::Progress;

/// Size in memory at which rows are written out.
const FLUSH_BYTES: usize = 64 << 20;
/// Lines between two looks at whether to stop, and two reports of progress.
const LINES_PER_REPORT: u64 = 512;

/// Input files of one kind to read, and what reading them takes.
#[derive(Clone)]
pub(crate) struct Unit {
    pub(crate) kind: Kind,
    /// The files with their place among the source's files of this kind.
    pub(crate) files: Vec<(u32, InputFile)>,
    pub(crate) location: Location,
    pub(crate) address: SourceAddress,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) ranks: Option<Arc<Ranks>>,
}

/// Takes rows of a table that are ready to be written.
pub(crate) type Sink<'a> = dyn FnMut(&'static str, RecordBatch) -> Result<()> + 'a;

/// What reading a unit came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Rows by table.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Features that rows are about.
    pub(crate) indices: IndexSet,
    /// Features whose rows went to more than one data file.
    pub(crate) split: IndexSet,
    /// Keys that mean nothing here, and how often they came.
    pub(crate) unknown_keys: BTreeMap<String, u64>,
    /// Activations with fewer values than tokens.
    pub(crate) short_values: u64,
    /// Contexts that rows refer to.
    #[serde(skip)]
    pub(crate) contexts: Vec<i64>,
    /// Those among them that this unit wrote.
    #[serde(skip)]
    pub(crate) owned_contexts: Vec<i64>,
}

impl Unit {
    /// Reads all files. Blocks; call it on a thread that may.
    pub(crate) fn read(&self, runtime: &Handle, out: &mut Sink<'_>) -> Result<Summary> {
        match self.kind {
            Kind::Activations => self.read_activations(runtime, out),
            Kind::Features | Kind::Explanations => self.read_records(runtime, out),
        }
    }

    /// Calls `each` with every line of every file.
    pub(crate) fn each_line(
        &self,
        runtime: &Handle,
        mut each: impl FnMut(u32, u64, &[u8]) -> Result<(), LineError>,
    ) -> Result<()> {
        for (ordinal, file) in &self.files {
            let stored = runtime.block_on(self.location.read(&file.path))?;
            let counted = Counted { inner: stored, progress: Arc::clone(&self.progress) };
            let mut lines = Lines::open(self.location.display(&file.path), Box::new(counted))?;
            let mut unreported = 0;
            loop {
                let at = lines.line() + 1;
                let Some(line) = lines.next_line()? else { break };
                match each(*ordinal, at, line) {
                    Ok(()) => {}
                    Err(LineError::Bad(reason)) => return Err(lines.bad(reason)),
                    Err(LineError::Other(error)) => return Err(error),
                }
                unreported += 1;
                if unreported == LINES_PER_REPORT {
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(Error::cancelled());
                    }
                    self.progress.advance(unreported, 0);
                    unreported = 0;
                }
            }
            self.progress.advance(unreported, 0);
        }
        Ok(())
    }

    fn read_activations(&self, runtime: &Handle, out: &mut Sink<'_>) -> Result<Summary> {
        let mut rows = Activations::new(&self.address, Arc::clone(&self.contexts), self.ranks.clone())?;
        let mut summary = Summary::default();
        let mut current = None;
        self.each_line(runtime, |file, at, line| {
            // Between files a feature's rows rarely go on, so that is where rows are parted; within a file only
            // if it is far larger than any we know of. Contexts can be parted anywhere.
            let next_file = current.replace(file).is_some_and(|previous| previous != file);
            let full = if next_file { FLUSH_BYTES } else { 4 * FLUSH_BYTES };
            if rows.bytes() > full {
                self.flush_activations(&mut rows, &mut summary, out)?;
            }
            if rows.context_bytes() > FLUSH_BYTES / 2 {
                self.send("contexts", rows.take_contexts(), &mut summary, out)?;
            }
            rows.read((file, at), line)?;
            Ok(())
        })?;
        self.flush_activations(&mut rows, &mut summary, out)?;
        summary.unknown_keys = rows.reader.unknown().clone();
        summary.short_values = rows.short();
        (summary.contexts, summary.owned_contexts) = rows.into_contexts();
        Ok(summary)
    }

    fn flush_activations(&self, rows: &mut Activations, summary: &mut Summary, out: &mut Sink<'_>) -> Result<()> {
        let mut indices = IndexSet::default();
        for index in rows.indices() {
            indices.insert(*index);
        }
        for index in summary.indices.absorb(&indices).iter() {
            summary.split.insert(index);
        }
        self.send("contexts", rows.take_contexts(), summary, out)?;
        let columns = rows.take();
        self.send(self.kind.name(), self.with_ids(columns), summary, out)
    }

    fn read_records(&self, runtime: &Handle, out: &mut Sink<'_>) -> Result<Summary> {
        let mut rows = RecordReader::new(self.kind, &self.address)?;
        let index = rows.slot("index")?;
        let id = if self.kind == Kind::Explanations { Some(rows.slot("explanation_id")?) } else { None };
        let mut summary = Summary::default();
        self.each_line(runtime, |_, _, line| {
            rows.read(line)?;
            if let Some(column) = id.and_then(|id| rows.vacant(id)) {
                // Without an id of its own, the row's content is its identity.
                let made = format!("{:032x}", xxh3_128(line));
                column.push_text(&made).map_err(|error| error.to_string())?;
            }
            rows.close_row()?;
            if let Some(index) = rows.integers(index).last().copied() {
                let new = summary.indices.insert(index);
                if !new && self.kind == Kind::Features {
                    return Err(LineError::Bad(format!("feature {index} occurs twice")));
                }
            }
            if rows.bytes() > FLUSH_BYTES {
                let columns = rows.take();
                self.send(self.kind.name(), self.with_ids(columns), &mut summary, out)?;
            }
            Ok(())
        })?;
        if rows.rows() > 0 {
            let columns = rows.take();
            self.send(self.kind.name(), self.with_ids(columns), &mut summary, out)?;
        }
        summary.unknown_keys = rows.unknown().clone();
        Ok(summary)
    }

    /// Adds the columns that are the same on every row.
    fn with_ids(&self, mut columns: Vec<(&'static str, ArrayRef)>) -> Vec<(&'static str, ArrayRef)> {
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        let same = |id: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(id, rows))) as ArrayRef;
        columns.insert(0, ("model_id", same(&self.address.model_id)));
        columns.insert(1, ("source_id", same(&self.address.source_id)));
        columns
    }

    fn send(
        &self,
        table: &'static str,
        columns: Vec<(&'static str, ArrayRef)>,
        summary: &mut Summary,
        out: &mut Sink<'_>,
    ) -> Result<()> {
        let rows = RecordBatch::try_from_iter(columns).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("rows of {table} do not fit together: {error}"))
        })?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        *summary.rows.entry(table.to_owned()).or_default() += rows.num_rows() as u64;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::cancelled());
        }
        out(table, rows)
    }
}

/// What can go wrong with a line.
pub(crate) enum LineError {
    /// The line is malformed.
    Bad(String),
    /// Something that has nothing to do with the line.
    Other(Error),
}

impl From<String> for LineError {
    fn from(reason: String) -> Self {
        Self::Bad(reason)
    }
}

impl From<Error> for LineError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Counts stored bytes as they are read.
struct Counted {
    inner: Box<dyn Read + Send>,
    progress: Arc<dyn Progress>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.progress.advance(0, n as u64);
        Ok(n)
    }
}

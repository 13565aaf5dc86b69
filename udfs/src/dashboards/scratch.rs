//! The folder of a run: its prompts, and the firings that were found so far.
//!
//! A file is there as a whole or not at all, and each says by its name which prompts it covers; so a run that was killed goes
//! on after the last one. The folder's name is a fingerprint of everything that the firings depend on.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array, UInt32Array};
use arrow::datatypes::{Float32Type, Float64Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::dashboard::{ComponentSums, Firing};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

use super::prompts;
use crate::arguments::internal;
use crate::corpus::Prompts;

/// Rows that are skipped or read as one.
const GROUP_ROWS: usize = 128 << 10;

/// What the names of runs' folders begin with.
pub(super) const PREFIX: &str = "generate-";
/// Time after which a run that was stopped is not waited for: as long as `VACUUM` waits by default.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A run's folder.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    folder: PathBuf,
}

/// A file of firings of all sources, sorted by source, feature, prompt and position.
#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    prompts: Range<usize>,
}

impl Scratch {
    /// The folder `name` in `within`; made if it is not there.
    pub(super) fn open(within: &Path, name: &str) -> Result<Self> {
        sweep(within);
        let folder = within.join(name);
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn prompts_path(&self) -> PathBuf {
        self.folder.join("prompts.parquet")
    }

    /// The prompts of an earlier run.
    pub(super) fn prompts(&self) -> Result<Option<Prompts>> {
        let path = self.prompts_path();
        if path.is_file() { prompts::load(&path).map(Some) } else { Ok(None) }
    }

    pub(super) fn keep_prompts(&self, prompts: &Prompts) -> Result<()> {
        prompts::save(prompts, &self.prompts_path())
    }

    /// How many prompts have been run.
    pub(super) fn prompts_done(&self) -> Result<usize> {
        Ok(self.segments()?.last().map_or(0, |segment| segment.prompts.end))
    }

    /// The segments that follow on each other from the first prompt on.
    fn segments(&self) -> Result<Vec<Segment>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|error| failed(&self.folder, &error))? {
            let path = entry.map_err(|error| failed(&self.folder, &error))?.path();
            if let Some(prompts) = path.file_name().and_then(|name| prompts_of(name.to_str()?)) {
                found.push(Segment { path, prompts });
            }
        }
        found.sort_by_key(|segment| segment.prompts.start);
        let mut next = 0;
        found.retain(|segment| {
            let follows = segment.prompts.start == next;
            next = if follows { segment.prompts.end } else { next };
            follows
        });
        Ok(found)
    }

    /// Writes the firings of some prompts, for each source; the order of a source's firings does not matter.
    pub(super) fn keep(&self, prompts: Range<usize>, mut firings: Vec<Vec<Firing>>) -> Result<()> {
        use rayon::prelude::*;
        firings.iter_mut().for_each(|own| own.par_sort_unstable_by_key(Firing::key));
        let each = || (0u32..).zip(&firings).flat_map(|(source, own)| own.iter().map(move |firing| (source, firing)));
        let numbers =
            |of: &dyn Fn((u32, &Firing)) -> u32| Arc::new(UInt32Array::from_iter_values(each().map(of))) as ArrayRef;
        let columns = [
            ("source", numbers(&|(source, _)| source)),
            ("feature", numbers(&|(_, firing)| firing.feature)),
            ("prompt", numbers(&|(_, firing)| firing.prompt)),
            ("position", numbers(&|(_, firing)| firing.position)),
            ("value", Arc::new(Float32Array::from_iter_values(each().map(|(_, firing)| firing.value))) as ArrayRef),
        ];
        let name = format!("firings-{:08}-{:08}.parquet", prompts.start, prompts.end);
        write_whole(&self.folder.join(name), &RecordBatch::try_from_iter(columns).map_err(internal)?)
    }

    /// How often each feature of a source fired; `width` features.
    pub(super) fn counts(&self, source: u32, width: usize) -> Result<Vec<u64>> {
        let mut counts = vec![0; width];
        for segment in self.segments()? {
            segment.each_batch(source, 0..width as u32, &["source", "feature"], |batch| {
                for feature in numbers(batch, 1)? {
                    if let Some(count) = counts.get_mut(*feature as usize) {
                        *count += 1;
                    }
                }
                Ok(())
            })?;
        }
        Ok(counts)
    }

    /// All firings of some features of a source, sorted by [`Firing::key`].
    pub(super) fn firings(&self, source: u32, features: Range<u32>) -> Result<Vec<Firing>> {
        use rayon::prelude::*;
        let mut found = Vec::new();
        for segment in self.segments()? {
            segment.append(source, features.clone(), &mut found)?;
        }
        found.par_sort_unstable_by_key(Firing::key);
        Ok(found)
    }

    /// Lets `look` see the firings of all `width` features of a source, some tokens after the other, sorted by
    /// [`Firing::place`] and feature.
    pub(super) fn each_segment(&self, source: u32, width: usize, mut look: impl FnMut(&[Firing])) -> Result<()> {
        use rayon::prelude::*;
        for segment in self.segments()? {
            let mut found = Vec::new();
            segment.append(source, 0..width as u32, &mut found)?;
            found.par_sort_unstable_by_key(|firing| (firing.place(), firing.feature));
            look(&found);
        }
        Ok(())
    }

    fn sums_path(&self, prompts: usize) -> PathBuf {
        self.folder.join(format!("sums-{prompts:08}.parquet"))
    }

    /// Writes the sums over the first `prompts` prompts, for each source. To be called before the firings are written.
    pub(super) fn keep_sums(&self, prompts: usize, sums: &[ComponentSums]) -> Result<()> {
        let numbers = Float64Array::from_iter_values(sums.iter().flat_map(ComponentSums::to_numbers));
        let rows = RecordBatch::try_from_iter([("number", Arc::new(numbers) as ArrayRef)]).map_err(internal)?;
        write_whole(&self.sums_path(prompts), &rows)
    }

    /// The sums over the first `prompts` prompts.
    pub(super) fn sums(&self, prompts: usize, mut sums: Vec<ComponentSums>) -> Result<Vec<ComponentSums>> {
        let path = self.sums_path(prompts);
        let mut numbers = Vec::new();
        read_batches(
            &path,
            &["number"],
            |_| None,
            |batch| {
                let column = batch.columns().first().and_then(|column| column.as_primitive_opt::<Float64Type>());
                numbers.extend_from_slice(column.ok_or_else(|| internal("sums are no numbers"))?.values());
                Ok(())
            },
        )?;
        let mut left = numbers.as_slice();
        for own in &mut sums {
            let (now, later) = left.split_at_checked(own.count()).unwrap_or_default();
            if !own.set_numbers(now) {
                return Err(damaged(&path, &"it has another number of sums"));
            }
            left = later;
        }
        Ok(sums)
    }

    /// Deletes the sums over fewer than `prompts` prompts. What cannot be deleted is only in the way.
    pub(super) fn forget_sums_before(&self, prompts: usize) {
        let of = |path: &Path| -> Option<usize> {
            path.file_name()?.to_str()?.strip_prefix("sums-")?.strip_suffix(".parquet")?.parse().ok()
        };
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in all.filter(|path| of(path).is_some_and(|covered| covered < prompts)) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "old sums stay");
            }
        }
    }

    /// Deletes the folder. What cannot be deleted is only in the way.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "could not delete the folder of a finished run");
        }
    }
}

impl Segment {
    /// Appends the firings of some features of a source.
    fn append(&self, source: u32, features: Range<u32>, found: &mut Vec<Firing>) -> Result<()> {
        self.each_batch(source, features, &["source", "feature", "prompt", "position", "value"], |batch| {
            let values = batch.columns().get(4).and_then(|column| column.as_primitive_opt::<Float32Type>());
            let values = values.ok_or_else(|| internal("a segment has no values"))?.values();
            let places = numbers(batch, 1)?.iter().zip(numbers(batch, 2)?).zip(numbers(batch, 3)?);
            found.extend(places.zip(values).map(|(((feature, prompt), position), value)| Firing {
                feature: *feature,
                prompt: *prompt,
                position: *position,
                value: *value,
            }));
            Ok(())
        })
    }

    /// Reads the rows of some features of a source.
    fn each_batch(
        &self,
        source: u32,
        features: Range<u32>,
        columns: &[&str],
        mut read: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let groups = |metadata: &ParquetMetaData| Some(groups_with(metadata, source, &features));
        read_batches(&self.path, columns, groups, |batch| {
            let keys = numbers(batch, 0)?.iter().zip(numbers(batch, 1)?);
            let keys: Vec<(u32, u32)> = keys.map(|(source, feature)| (*source, *feature)).collect();
            let first = keys.partition_point(|key| *key < (source, features.start));
            let end = keys.partition_point(|key| *key < (source, features.end));
            if first < end { read(&batch.slice(first, end - first)) } else { Ok(()) }
        })
    }
}

/// Reads some columns of a file, in the row groups that `groups` names, or in all.
fn read_batches(
    path: &Path,
    columns: &[&str],
    groups: impl Fn(&ParquetMetaData) -> Option<Vec<usize>>,
    mut read: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(|error| damaged(path, &error))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(path, &error))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    if let Some(groups) = groups(builder.metadata()) {
        builder = builder.with_row_groups(groups);
    }
    let reader = builder.with_projection(mask).with_batch_size(GROUP_ROWS).build();
    for batch in reader.map_err(|error| damaged(path, &error))? {
        read(&batch.map_err(|error| damaged(path, &error))?)?;
    }
    Ok(())
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{} cannot be read: {reason}", path.display()))
        .with_hint("delete the folder that it is in, and the run starts from the beginning")
}

/// Deletes the folders of runs that nobody has taken up again for a long time. What cannot be read or deleted stays.
fn sweep(within: &Path) {
    let is_abandoned = |folder: &Path| -> Option<bool> {
        let is_run = folder.file_name()?.to_str()?.starts_with(PREFIX);
        Some(is_run && folder.metadata().ok()?.modified().ok()?.elapsed().ok()? > ABANDONED)
    };
    for folder in fs::read_dir(within).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if is_abandoned(&folder) == Some(true) {
            tracing::info!(folder = %folder.display(), "deleting the folder of an abandoned run");
            Scratch { folder }.remove();
        }
    }
}

fn prompts_of(name: &str) -> Option<Range<usize>> {
    let (start, end) = name.strip_prefix("firings-")?.strip_suffix(".parquet")?.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

fn numbers(batch: &RecordBatch, column: usize) -> Result<&[u32]> {
    let column = batch.columns().get(column).and_then(|column| column.as_primitive_opt::<UInt32Type>());
    column.map(|column| &column.values()[..]).ok_or_else(|| internal("a segment has other columns"))
}

/// The row groups that can have firings of the features.
fn groups_with(metadata: &ParquetMetaData, source: u32, features: &Range<u32>) -> Vec<usize> {
    let bounds = |group: usize, column: usize| -> Option<(u32, u32)> {
        match metadata.row_groups().get(group)?.columns().get(column)?.statistics()? {
            Statistics::Int32(found) => Some((*found.min_opt()? as u32, *found.max_opt()? as u32)),
            _ => None,
        }
    };
    let can_have = |group: &usize| {
        let Some((least, most)) = bounds(*group, 0) else { return true };
        let Some((low, high)) = bounds(*group, 1) else { return true };
        // A group of one source is sorted by feature; one of several has features of all numbers.
        least <= source && source <= most && (least != most || low < features.end && features.start <= high)
    };
    (0..metadata.num_row_groups()).filter(can_have).collect()
}

/// Writes a Parquet file that is there as a whole or not at all.
pub(super) fn write_whole(path: &Path, rows: &RecordBatch) -> Result<()> {
    let draft = path.with_extension("draft");
    let file = File::create(&draft).map_err(|error| failed(&draft, &error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).map_err(internal)?;
    writer.write(rows).map_err(internal)?;
    let file = writer.into_inner().map_err(internal)?;
    file.sync_all().and_then(|()| fs::rename(&draft, path)).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot keep the progress of the run in {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::{ABANDONED, Scratch};

    #[test]
    fn abandoned_runs_are_deleted_and_others_stay() {
        let within = tempfile::tempdir().unwrap();
        for name in ["generate-old", "generate-new", "import-old"] {
            fs::create_dir(within.path().join(name)).unwrap();
            if name.ends_with("old") {
                let then = SystemTime::now() - ABANDONED - Duration::from_secs(60);
                File::open(within.path().join(name)).unwrap().set_modified(then).unwrap();
            }
        }
        Scratch::open(within.path(), "generate-mine").unwrap();
        let mut left: Vec<_> = fs::read_dir(within.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["generate-mine", "generate-new", "import-old"]);
    }
}

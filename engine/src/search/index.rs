//! An index on disk: its definition, and segments that cover data files.
//!
//! A segment is immutable and covers immutable data files, so it can become useless in part (when a file leaves the table) but
//! never wrong. The manifest names the segments; it is replaced as a whole, so a process that was killed leaves the old list
//! or the new one, and at most a segment that nothing names, which the next start deletes.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::definition::IndexDefinition;
use super::segment::{Segment, SegmentFiles};
use crate::{Error, ErrorKind, Result};

/// File of the definition.
const DEFINITION: &str = "index.json";
/// File that names the segments.
const MANIFEST: &str = "manifest.json";
/// Ending of segments.
const SEGMENT: &str = "segment";
/// Ending of the folder of an index that was dropped, until it is deleted.
const DROPPED: &str = "dropped";

/// An index of a database.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) definition: IndexDefinition,
    folder: PathBuf,
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    /// Held while segments are built: one builder at a time.
    pub(super) building: tokio::sync::Mutex<()>,
    /// How far the build under way is.
    build: Mutex<Option<Build>>,
    /// Whether the index was dropped; held while its files change, so that a builder which is still at work writes nothing
    /// into the folder of a later index of the same name.
    is_dropped: Mutex<bool>,
}

/// How far a build is, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Build {
    pub done: u64,
    pub total: u64,
}

/// The segments of an index, as its file tells.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    segments: Vec<SegmentFiles>,
}

impl Index {
    /// Makes the folder of a new index.
    pub(super) fn create(within: &Path, definition: IndexDefinition) -> Result<Self> {
        let folder = within.join(&definition.name);
        let failed = |error: io::Error| unusable(&definition.name, &error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let text = serde_json::to_vec_pretty(&definition).map_err(|error| unusable(&definition.name, &error))?;
        write_whole(&folder.join(DEFINITION), &text).map_err(failed)?;
        sync_directory(within).map_err(failed)?;
        Ok(Self::of(definition, folder))
    }

    fn of(definition: IndexDefinition, folder: PathBuf) -> Self {
        Self {
            definition,
            folder,
            segments: RwLock::default(),
            building: tokio::sync::Mutex::default(),
            build: Mutex::default(),
            is_dropped: Mutex::default(),
        }
    }

    /// How far the build under way is, if there is one.
    pub(crate) fn build(&self) -> Option<Build> {
        *self.build.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how far the build under way is; none when it has ended.
    pub(super) fn set_build(&self, build: Option<Build>) {
        *self.build.lock().unwrap_or_else(PoisonError::into_inner) = build;
    }

    /// Opens the index in `folder`; none if there is no whole definition, which a crash can leave behind. A segment that cannot
    /// be read is left out, with a warning: its files are then not covered, and will be again.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>> {
        let Ok(text) = fs::read(folder.join(DEFINITION)) else { return Ok(None) };
        let shown = folder.display();
        let damaged = |error: serde_json::Error| {
            Error::new(ErrorKind::Corrupt, format!("the definition of an index in {shown} is damaged: {error}"))
                .with_hint("delete the folder, and CREATE INDEX again")
        };
        let definition: IndexDefinition = serde_json::from_slice(&text).map_err(damaged)?;
        let index = Self::of(definition, folder.to_owned());
        index.refresh();
        Ok(Some(index))
    }

    /// Takes over what the manifest says now.
    pub(super) fn refresh(&self) {
        let manifest: Manifest = match fs::read(self.folder.join(MANIFEST)).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(manifest)) => manifest,
            Ok(Err(error)) => {
                tracing::warn!(index = %self.definition.name, %error, "the list of segments is damaged; building anew");
                Manifest::default()
            }
            Err(_) => Manifest::default(),
        };
        let known = self.segments();
        let (mut segments, mut lost) = (Vec::new(), HashSet::new());
        for files in manifest.segments {
            if let Some(same) = known.iter().find(|segment| segment.files.name == files.name) {
                segments.push(Arc::clone(same));
                continue;
            }
            let path = self.folder.join(&files.name);
            match Segment::open(&path, files.clone(), &self.definition.kind) {
                Ok(segment) => segments.push(Arc::new(segment)),
                Err(error) => {
                    tracing::warn!(index = %self.definition.name, %error, "a segment cannot be used; building it anew");
                    lost.extend(files.files.into_iter().map(|file| file.path));
                }
            }
        }
        // Vectors of several dimensions lie in several segments: without one of them, the others do not cover its files.
        segments.retain(|segment| segment.files.files.iter().all(|file| !lost.contains(&file.path)));
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(segments);
    }

    /// The segments as they are now.
    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where a new segment goes.
    pub(super) fn new_path(&self) -> PathBuf {
        self.folder.join(format!("{}.{SEGMENT}", uuid::Uuid::now_v7()))
    }

    /// Puts the segments `new` in the place of those called `old`.
    pub(super) fn replace(&self, old: &HashSet<String>, new: Vec<Arc<Segment>>) -> Result<()> {
        let is_dropped = self.is_dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_dropped {
            return Err(self.gone());
        }
        let mut all: Vec<Arc<Segment>> =
            self.segments().iter().filter(|one| !old.contains(&one.files.name)).cloned().collect();
        all.extend(new);
        let manifest = Manifest { segments: all.iter().map(|segment| segment.files.clone()).collect() };
        let failed = |error: &dyn std::fmt::Display| unusable(&self.definition.name, error);
        let text = serde_json::to_vec(&manifest).map_err(|error| failed(&error))?;
        write_whole(&self.folder.join(MANIFEST), &text).map_err(|error| failed(&error))?;
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        for name in old {
            // Searches that still use it have it open.
            let _ = fs::remove_file(self.folder.join(name));
        }
        Ok(())
    }

    /// Deletes segments that nothing names, and what else a killed builder left.
    pub(super) fn sweep(&self) {
        let known: HashSet<String> = self.segments().iter().map(|segment| segment.files.name.clone()).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != DEFINITION && name != MANIFEST && !known.contains(&name) {
                tracing::info!(index = %self.definition.name, name, "deleting what a builder left behind");
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Deletes the index. A builder that is at work finds that out by itself.
    pub(super) fn delete(&self) -> Result<()> {
        let mut is_dropped = self.is_dropped.lock().unwrap_or_else(PoisonError::into_inner);
        // The definition goes first: without it the folder is no index.
        let aside = self.folder.with_extension(format!("{}.{DROPPED}", uuid::Uuid::now_v7()));
        let gone = fs::remove_file(self.folder.join(DEFINITION)).and_then(|()| fs::rename(&self.folder, &aside));
        gone.map_err(|error| unusable(&self.definition.name, &error))?;
        *is_dropped = true;
        let _ = fs::remove_dir_all(aside);
        Ok(())
    }

    /// What a builder ends with once the index is dropped.
    pub(super) fn check_there(&self) -> Result<()> {
        let is_dropped = self.is_dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_dropped { Err(self.gone()) } else { Ok(()) }
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::UndefinedObject, format!("index {} was dropped while it was built", self.definition.name))
    }
}

/// Whether `folder` is what is left of a dropped index.
pub(super) fn is_left_over(folder: &Path) -> bool {
    folder.extension().is_some_and(|extension| extension == DROPPED)
}

fn unusable(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, format!("index {name} cannot be written: {error}"))
}

/// Writes a file that is there as a whole, and on disk, or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

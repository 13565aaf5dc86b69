//! An export in a directory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use latentdb_engine::{Error, ErrorKind, Result};

use super::{InputFile, Listing, join};

/// A directory tree.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(path: &str) -> Result<Self> {
        let root = PathBuf::from(path);
        if root.is_dir() {
            // The full path tells model and source where the export does not.
            return Ok(Self { root: root.canonicalize().unwrap_or(root) });
        }
        let problem = if root.exists() { "is not a directory" } else { "does not exist" };
        Err(Error::new(ErrorKind::Io, format!("\"{path}\" {problem}"))
            .with_hint("give the directory that holds an export: …/v1, …/v1/model or …/v1/model/source"))
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    pub(super) async fn list(&self, path: &str) -> Result<Listing> {
        let folder = self.path(path);
        let relative = path.to_owned();
        tokio::task::spawn_blocking(move || list_directory(&folder, &relative))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, format!("listing a directory failed: {error}")))?
    }

    pub(super) fn read(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        let full = self.path(path);
        Ok(Box::new(File::open(&full).map_err(|error| unreadable(&full, &error))?))
    }
}

fn list_directory(folder: &Path, relative: &str) -> Result<Listing> {
    let mut listing = Listing::default();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        // Follows links: exports are often assembled from linked folders.
        let metadata = std::fs::metadata(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?;
        let path = join(relative, &name);
        if metadata.is_dir() {
            listing.folders.push(path);
        } else if metadata.is_file() {
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            listing.files.push(InputFile {
                path,
                bytes: Some(metadata.len()),
                stamp: modified.map(|age| format!("{}.{:09}", age.as_secs(), age.subsec_nanos())),
            });
        }
    }
    Ok(listing)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read {}: {error}", path.display()))
}

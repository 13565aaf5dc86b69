//! A local object store that keeps what it acknowledged.
//!
//! `object_store`'s local file system never calls fsync, so after a crash of the machine a commit that
//! was acknowledged could be empty or gone. This wrapper holds: when `put` or the completion of a
//! multipart upload returns, the bytes and the directory entry are on disk. A name never shows partial
//! content: bytes are synced before the name is given to them.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// [`LocalFileSystem`] with fsync.
#[derive(Debug)]
pub(crate) struct DurableStore {
    inner: Arc<LocalFileSystem>,
}

impl DurableStore {
    pub(crate) fn new(inner: LocalFileSystem) -> Self {
        Self { inner: Arc::new(inner) }
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let target = self.inner.path_to_filesystem(location)?;
        let create = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: self.to_string(),
                });
            }
        };
        blocking(move || put_durably(&target, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(location)?;
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, target }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        let target = self.inner.path_to_filesystem(to)?;
        blocking(move || sync_file_and_directory(&target)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        let target = self.inner.path_to_filesystem(to)?;
        blocking(move || sync_file_and_directory(&target)).await
    }
}

/// A multipart upload that syncs when it completes.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let target = self.target.clone();
        blocking(move || sync_file_and_directory(&target)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

/// Writes beside the target, syncs, and only then gives the bytes their name.
fn put_durably(target: &FilePath, payload: &PutPayload, create: bool) -> Result<()> {
    let directory = target.parent().ok_or_else(|| at(target, std::io::Error::other("path has no directory")))?;
    if !directory.is_dir() {
        create_directories(directory).map_err(|error| at(directory, error))?;
    }
    // '#' and a number mark a file under way: `LocalFileSystem` hides such names from listings.
    let staged = staged_path(target);
    let written = write_synced(&staged, payload)
        .and_then(|()| if create { fs::hard_link(&staged, target) } else { fs::rename(&staged, target) });
    if create || written.is_err() {
        // After a hard link the staged name is superfluous; after a failure so are its bytes.
        let _ = fs::remove_file(&staged);
    }
    match written {
        Ok(()) => sync_directory(directory).map_err(|error| at(directory, error)),
        Err(error) if create && error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: target.display().to_string(), source: Box::new(error) })
        }
        Err(error) => Err(at(target, error)),
    }
}

fn staged_path(target: &FilePath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    PathBuf::from(name)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    for chunk in payload.iter() {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

/// Creates missing directories and syncs each new one's parent, so that the chain survives a crash.
pub(crate) fn create_directories(directory: &FilePath) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create_directories(parent)?;
        match fs::create_dir(directory) {
            Ok(()) => sync_directory(parent)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_file_and_directory(target: &FilePath) -> Result<()> {
    File::open(target).and_then(|file| file.sync_all()).map_err(|error| at(target, error))?;
    match target.parent() {
        Some(directory) => sync_directory(directory).map_err(|error| at(directory, error)),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn sync_directory(directory: &FilePath) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Windows has no way to sync a directory entry; its file systems journal them.
#[cfg(not(unix))]
fn sync_directory(_directory: &FilePath) -> std::io::Result<()> {
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Generic { store: "local", source: Box::new(error) }),
    }
}

fn at(path: &FilePath, error: std::io::Error) -> Error {
    Error::Generic {
        store: "local",
        source: Box::new(std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn create_never_replaces_and_leaves_no_staged_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = DurableStore::new(LocalFileSystem::new_with_prefix(directory.path()).unwrap());
        let path = Path::from("log/0.json");
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, PutPayload::from_static(b"first"), create()).await.unwrap();
        let second = store.put_opts(&path, PutPayload::from_static(b"second"), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap().as_ref(), b"first");
        store.put(&path, PutPayload::from_static(b"third")).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap().as_ref(), b"third");
        let names: Vec<_> =
            fs::read_dir(directory.path().join("log")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["0.json"]);
    }
}

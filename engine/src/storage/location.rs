//! Where a database lies: a directory of this machine or a prefix in an object store.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use super::durable::DurableStore;
use crate::{Error, ErrorKind, Result};

/// The place of a database and the store that reads and writes it.
///
/// Paths are relative to the *store's* root, not the database's: DataFusion addresses files by the
/// store's URL and the full path within it.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    url: Url,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
    directory: Option<PathBuf>,
}

impl Location {
    /// Reads `text` as an `s3://` URL or a directory, and connects to the store.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "s3" => Self::s3(url),
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path().map_err(|()| unusable(text, "the URL names no local path"))?;
                Self::directory(path)
            }
            // A one-letter scheme is a Windows drive; everything else with "://" was meant as a URL.
            Ok(url) if text.contains("://") => {
                Err(unusable(text, &format!("scheme \"{}\" is not known", url.scheme()))
                    .with_hint("give a directory, or an s3://bucket/prefix URL"))
            }
            _ => Self::directory(PathBuf::from(text)),
        }
    }

    fn directory(path: PathBuf) -> Result<Self> {
        let shown = path.display().to_string();
        let absolute = std::path::absolute(&path).map_err(|error| unusable(&shown, &error.to_string()))?;
        let url = Url::from_directory_path(&absolute).map_err(|()| unusable(&shown, "the path is not absolute"))?;
        let prefix = Path::from_absolute_path(&absolute).map_err(|error| unusable(&shown, &error.to_string()))?;
        let store = DurableStore::new(LocalFileSystem::new());
        Ok(Self { url, prefix, store: Arc::new(store), directory: Some(absolute) })
    }

    fn s3(mut url: Url) -> Result<Self> {
        let shown = url.to_string();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let store = AmazonS3Builder::from_env()
            .with_url(shown.clone())
            .build()
            .map_err(|error| unusable(&shown, &error.to_string()))?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| unusable(&shown, &error.to_string()))?;
        Ok(Self { url, prefix, store: Arc::new(store), directory: None })
    }

    /// A database of tests, in a store that is at hand.
    #[cfg(test)]
    pub(crate) fn in_store(store: Arc<dyn ObjectStore>) -> Self {
        let url = Url::parse("memory:///").unwrap_or_else(|_| unreachable!("a constant URL"));
        Self { url, prefix: Path::default(), store, directory: None }
    }

    /// URL of the database, with a slash at its end.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The directory, if the database is local.
    pub(crate) fn local_directory(&self) -> Option<&std::path::Path> {
        self.directory.as_deref()
    }

    /// The store, from its root.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// URL under which DataFusion knows the store: scheme and bucket.
    pub(crate) fn store_url(&self) -> Result<Url> {
        let mut url = self.url.clone();
        url.set_path("");
        Ok(url)
    }

    /// Path of something inside the database, from the store's root.
    pub(crate) fn path(&self, relative: &str) -> Path {
        relative.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The Delta log of the table in `relative`.
    pub(crate) fn log_store(&self, relative: &str) -> Result<LogStoreRef> {
        let url =
            self.url.join(&format!("{relative}/")).map_err(|error| unusable(self.url.as_str(), &error.to_string()))?;
        let table_store: Arc<dyn ObjectStore> =
            Arc::new(PrefixStore::new(Arc::clone(&self.store), self.path(relative)));
        Ok(default_logstore(table_store, Arc::clone(&self.store), &url, &StorageConfig::default()))
    }
}

fn unusable(location: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Io, format!("cannot use \"{location}\" as a database: {reason}"))
}

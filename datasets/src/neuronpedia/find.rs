//! Finding sources: a location may be one source's folder, a model's, or the whole tree.

use futures::{StreamExt, TryStreamExt, stream};
use latentdb_engine::{Error, ErrorKind, Result};

use super::layout::{Kind, SourceAddress, batches};
use super::lines::Lines;
use super::location::{InputFile, Location};
use super::registry::{FILES, Registry, RegistryFile};

/// Folders between where an export lies and its sources: `v1/{model}/{source}`.
const DEPTH: usize = 3;
/// Requests under way at once for files whose listing tells nothing of them.
const REQUESTS: usize = 16;

/// A source's files.
#[derive(Debug)]
pub(crate) struct SourceFiles {
    /// Files of a single row.
    pub(crate) registry: Vec<(RegistryFile, InputFile)>,
    /// Batch files by kind, in the order of their numbers.
    pub(crate) batches: Vec<(Kind, Vec<InputFile>)>,
    /// What the folder's own name and its parent's say.
    fallback: Option<SourceAddress>,
}

/// Folders of all sources at `location`.
pub(crate) async fn sources(location: &Location) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![(String::new(), 0)];
    while let Some((folder, depth)) = pending.pop() {
        let listing = location.list(&folder).await?;
        let named = |path: &str, name: &str| path.rsplit('/').next() == Some(name);
        let is_source = listing.files.iter().any(|file| named(&file.path, "source.jsonl"))
            || listing.folders.iter().any(|inner| Kind::ALL.iter().any(|kind| named(inner, kind.name())));
        if is_source {
            found.push(folder);
        } else if depth < DEPTH {
            let inner = listing.folders.into_iter().filter(|inner| !named(inner, "config"));
            pending.extend(inner.map(|inner| (inner, depth + 1)));
        }
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::BadInput, format!("there is no Neuronpedia export at {}", location.display("")))
            .with_hint("a source is a folder with source.jsonl, features/ and activations/; give it, its model's folder, or the folder of all models"));
    }
    found.sort_unstable();
    Ok(found)
}

impl SourceFiles {
    /// The files of the source in `folder`.
    pub(crate) async fn list(location: &Location, folder: &str, allow_gaps: bool) -> Result<Self> {
        let top = location.list(folder).await?;
        let mut registry = Vec::new();
        for file in FILES {
            let found = top.files.iter().find(|found| found.path.rsplit('/').next() == Some(file.name));
            registry.extend(found.map(|found| (file, found.clone())));
        }
        let mut by_kind = Vec::new();
        for kind in Kind::ALL {
            let folder = if folder.is_empty() { kind.name().to_owned() } else { format!("{folder}/{}", kind.name()) };
            let listed = location.list(&folder).await?;
            let files = batches(kind, &listed.files, allow_gaps)?;
            let described: Vec<InputFile> =
                stream::iter(files).map(|file| location.describe(file)).buffered(REQUESTS).try_collect().await?;
            by_kind.push((kind, described));
        }
        let full = location.display(folder);
        let mut names = full.trim_end_matches('/').rsplit('/');
        let fallback = match (names.next(), names.next()) {
            (Some(source), Some(model)) => SourceAddress::parse(&format!("{model}/{source}")).ok(),
            _ => None,
        };
        Ok(Self { registry, batches: by_kind, fallback })
    }

    /// All files.
    pub(crate) fn all(&self) -> Vec<InputFile> {
        let registry = self.registry.iter().map(|(_, file)| file);
        registry.chain(self.batches.iter().flat_map(|(_, files)| files)).cloned().collect()
    }

    /// Size of all batch files, if it is known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.batches.iter().flat_map(|(_, files)| files).map(|file| file.bytes).sum()
    }

    /// Reads the single rows.
    pub(crate) async fn registry(&self, location: &Location) -> Result<Registry> {
        let mut found = Vec::new();
        for (file, input) in &self.registry {
            let stored = location.read(&input.path).await?;
            let (file, name) = (*file, location.display(&input.path));
            let row = tokio::task::spawn_blocking(move || file.read(Lines::open(name, stored)?)).await;
            let row = row
                .map_err(|error| Error::new(ErrorKind::Internal, format!("reading {} failed: {error}", file.name)))??;
            found.extend(row.map(|row| (file, row)));
        }
        Registry::complete(found, self.fallback.clone())
    }
}

//! The Hugging Face hub: places on it, as folders and files of this machine.
//!
//! Files lie in the cache that all of Hugging Face's libraries share (`HF_HOME`, `HF_HUB_CACHE`), so that nothing is fetched
//! twice. An interrupted download goes on where it stopped. What was fetched whole is noted beside the cache's repositories
//! and needs no network again.

mod choice;
mod progress;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use hf_hub::api::tokio::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use latentdb_engine::{Error, ErrorKind, Result};

pub(crate) use choice::Wanted;
use progress::Meter;
pub use progress::{Downloads, Unwatched};

use crate::location::{HubPlace, Location};

/// The part of the cache that has our notes.
const NOTES: &str = "latentdb";
/// The branch if no revision is named.
const DEFAULT_REVISION: &str = "main";
/// How often the download of a file is begun.
const ATTEMPTS: u64 = 4;

/// Weights that are on this machine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Where.
    pub(crate) path: PathBuf,
    /// Where they came from, with the commit if from the hub.
    pub(crate) location: Location,
}

/// Brings places of the hub to this machine.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Pinned places that were found whole, by their text.
    whole: Mutex<HashMap<String, PathBuf>>,
    /// One download at a time: two of the same file would wait for each other's locks.
    downloading: tokio::sync::Mutex<()>,
}

impl Hub {
    /// The files at `location`, fetched first if they are on the hub and not here.
    ///
    /// # Errors
    /// If there is no such place, or it cannot be reached.
    pub(crate) fn fetch<'a>(
        &'a self,
        location: &'a Location,
        wanted: Wanted,
        downloads: &'a Arc<dyn Downloads>,
    ) -> BoxFuture<'a, Result<Fetched>> {
        Box::pin(async move {
            match location {
                Location::Path(path) => {
                    Ok(Fetched { path: absolute(path)?, location: Location::Path(absolute(path)?) })
                }
                Location::Hub(place) => self.fetch_place(place, wanted, downloads).await,
            }
        })
    }

    async fn fetch_place(&self, place: &HubPlace, wanted: Wanted, downloads: &Arc<dyn Downloads>) -> Result<Fetched> {
        let known = self.whole.lock().unwrap_or_else(PoisonError::into_inner).get(&place.to_string()).cloned();
        if let Some(path) = known {
            return Ok(Fetched { path, location: Location::Hub(place.clone()) });
        }
        let store = Store::from_env(place)?;
        let found = match store.whole(place) {
            Some(path) => Fetched { path, location: Location::Hub(place.clone()) },
            None => {
                let _alone = self.downloading.lock().await;
                store.download(place, wanted, downloads).await?
            }
        };
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        whole.insert(found.location.to_string(), found.path.clone());
        Ok(found)
    }
}

/// One repository in the cache, and the hub behind it.
#[derive(Debug)]
struct Store {
    cache: Cache,
    token: Option<String>,
    repository: String,
}

impl Store {
    /// The repository of `place` where the environment says that the cache is.
    fn from_env(place: &HubPlace) -> Result<Self> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if named("HF_HOME").is_none() && std::env::home_dir().is_none() {
            return Err(Error::new(ErrorKind::Io, "there is no home directory to keep downloads in")
                .with_hint("set HF_HOME to a directory"));
        }
        let home = Cache::from_env();
        let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()).or_else(|| home.token());
        let cache = named("HF_HUB_CACHE").map_or(home, |path| Cache::new(path.into()));
        Ok(Self { cache, token, repository: place.repository.clone() })
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned())
    }

    /// Folder of a commit's files.
    fn snapshot(&self, commit: &str) -> PathBuf {
        self.cache.repo(self.repo(commit)).pointer_path(commit)
    }

    /// Where it is noted which files of a commit's folder are here.
    fn note(&self, commit: &str, path: Option<&str>) -> PathBuf {
        let name = path.unwrap_or("all").replace('/', "--");
        self.cache.path().join(NOTES).join(self.repo(commit).folder_name()).join(commit).join(name + ".files")
    }

    /// A pinned place whose files are all here, by its note.
    fn whole(&self, place: &HubPlace) -> Option<PathBuf> {
        let commit = place.revision.as_deref()?;
        let files = std::fs::read_to_string(self.note(commit, place.path.as_deref())).ok()?;
        let snapshot = self.snapshot(commit);
        files.lines().all(|file| snapshot.join(file).is_file()).then(|| within(&snapshot, place))
    }

    async fn download(&self, place: &HubPlace, wanted: Wanted, downloads: &Arc<dyn Downloads>) -> Result<Fetched> {
        let api = self.api()?;
        let revision = place.revision.as_deref().unwrap_or(DEFAULT_REVISION);
        let info = match api.repo(self.repo(revision)).info().await {
            Ok(info) => info,
            Err(error) => return self.without_hub(place).ok_or_else(|| failure(place, &error)),
        };
        let names = info.siblings.into_iter().map(|sibling| sibling.rfilename).filter(|name| is_inside(name));
        let files = choice::choose(place, &names.collect::<Vec<_>>(), wanted)?;
        let (snapshot, remote) = (self.snapshot(&info.sha), api.repo(self.repo(&info.sha)));
        for file in files.iter().filter(|file| !snapshot.join(file).is_file()) {
            let meter = Meter::new(place, file, Arc::clone(downloads));
            download_file(&remote, file, meter).await.map_err(|error| failure(place, &error))?;
        }
        self.write_note(&info.sha, place, &files)?;
        let pinned = HubPlace { revision: Some(info.sha.clone()), ..place.clone() };
        Ok(Fetched { path: within(&snapshot, place), location: Location::Hub(pinned) })
    }

    /// What another library has fetched, for when the hub is out of reach.
    fn without_hub(&self, place: &HubPlace) -> Option<Fetched> {
        let revision = place.revision.as_deref().unwrap_or(DEFAULT_REVISION);
        let reference = self.cache.path().join(self.repo(revision).folder_name()).join("refs").join(revision);
        let commit =
            std::fs::read_to_string(reference).map_or_else(|_| revision.to_owned(), |text| text.trim().to_owned());
        let path = within(&self.snapshot(&commit), place);
        let pinned = HubPlace { revision: Some(commit), ..place.clone() };
        path.exists().then_some(Fetched { path, location: Location::Hub(pinned) })
    }

    fn write_note(&self, commit: &str, place: &HubPlace, files: &[String]) -> Result<()> {
        let note = self.note(commit, place.path.as_deref());
        let written = note.parent().map_or(Ok(()), std::fs::create_dir_all);
        written
            .and_then(|()| std::fs::write(&note, files.join("\n")))
            .map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", note.display())))
    }

    fn api(&self) -> Result<Api> {
        let builder = ApiBuilder::from_cache(self.cache.clone()).with_token(self.token.clone()).with_progress(false);
        let builder = builder.with_user_agent("latentdb", env!("CARGO_PKG_VERSION"));
        let builder = match std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()) {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()),
            None => builder,
        };
        builder.build().map_err(|error| Error::new(ErrorKind::Io, format!("no connection to the hub: {error}")))
    }
}

/// Fetches one file; a connection that breaks is made again a few times, and goes on where it broke.
async fn download_file(remote: &ApiRepo, file: &str, meter: Meter) -> Result<(), ApiError> {
    for attempt in 1.. {
        match remote.download_with_progress(file, meter.clone()).await {
            Err(ApiError::RequestError(error)) if error.status().is_none() && attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_secs(attempt)).await;
            }
            outcome => return outcome.map(drop),
        }
    }
    Ok(())
}

fn within(snapshot: &Path, place: &HubPlace) -> PathBuf {
    place.path.as_ref().map_or_else(|| snapshot.to_path_buf(), |path| snapshot.join(path))
}

/// Whether a name stays inside the folder that it is joined to.
fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\n')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The absolute form of a path that must be there.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        Error::new(ErrorKind::Io, format!("{}: {error}", path.display()))
            .with_hint("name a folder or file that is there, or a place on the hub as hf:ORG/REPO/FOLDER")
    })
}

fn failure(place: &HubPlace, error: &ApiError) -> Error {
    let status = match error {
        ApiError::RequestError(error) => error.status().map(|status| status.as_u16()),
        ApiError::TooManyRetries(inner) => return failure(place, inner),
        _ => None,
    };
    let HubPlace { repository, .. } = place;
    match (status, error) {
        (Some(401 | 403), _) => Error::new(ErrorKind::Permission, format!("the hub does not let us read {place}"))
            .with_hint(format!(
                "accept its terms at https://huggingface.co/{repository} and set HF_TOKEN, or check the name"
            )),
        (Some(404), _) => Error::new(ErrorKind::UndefinedObject, format!("the hub has no {place}"))
            .with_hint(format!("https://huggingface.co/{repository} shows whether there is such a repository")),
        (_, ApiError::LockAcquisition(_)) => {
            Error::new(ErrorKind::Conflict, format!("another process is downloading {place}"))
                .with_hint("wait for it, and try again")
        }
        _ => Error::new(ErrorKind::Io, format!("{place} cannot be fetched: {error}")).with_hint(
            "check the network, or set HF_ENDPOINT to a mirror, or name a folder of this machine; \
             the same command goes on where it stopped",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::is_inside;

    #[test]
    fn a_name_that_leaves_its_folder_is_not_fetched() {
        assert!(is_inside("layer_0/params.npz"));
        for name in ["", "../x", "/etc/passwd", "a/../../x", "a\nb"] {
            assert!(!is_inside(name), "{name}");
        }
    }
}

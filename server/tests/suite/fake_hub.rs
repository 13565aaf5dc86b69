//! A hub of our own on the loopback interface: the few routes of huggingface.co that a download uses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

/// The commit of every repository.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub that runs until it is dropped.
pub(crate) struct FakeHub {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    /// Files of a repository: their names there, and where they are.
    repositories: HashMap<String, Vec<(String, PathBuf)>>,
    requests: AtomicUsize,
    breaks: AtomicBool,
}

impl FakeHub {
    /// Serves `folders` as repositories: the name, a folder within it or "", and what lies there.
    pub(crate) fn start(folders: &[(&str, &str, &Path)]) -> Self {
        let mut repositories: HashMap<String, Vec<(String, PathBuf)>> = HashMap::new();
        for (repository, within, folder) in folders {
            let files = repositories.entry((*repository).to_owned()).or_default();
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                files.push((if within.is_empty() { name } else { format!("{within}/{name}") }, path));
            }
        }
        let shared = Arc::new(Shared { repositories, ..Shared::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/api/models/{org}/{name}/revision/{revision}", get(info))
            .route("/{org}/{name}/resolve/{revision}/{*file}", get(file))
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, shared, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests were made so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Breaks the connection in the middle of the next file.
    pub(crate) fn break_once(&self) {
        self.shared.breaks.store(true, Ordering::SeqCst);
    }
}

async fn info(
    State(shared): State<Arc<Shared>>,
    UrlPath((org, name, _revision)): UrlPath<(String, String, String)>,
) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    if org == "gated" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(files) = shared.repositories.get(&format!("{org}/{name}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let siblings: Vec<_> = files.iter().map(|(name, _)| json!({ "rfilename": name })).collect();
    axum::Json(json!({ "sha": COMMIT, "siblings": siblings })).into_response()
}

async fn file(
    State(shared): State<Arc<Shared>>,
    UrlPath((org, name, _revision, file)): UrlPath<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let files = shared.repositories.get(&format!("{org}/{name}"));
    let Some((_, path)) = files.and_then(|files| files.iter().find(|(known, _)| *known == file)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content = std::fs::read(path).unwrap();
    let range = headers.get(header::RANGE).unwrap().to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse::<usize>().unwrap().min(content.len() - 1);
    let part = content[first..=last].to_vec();
    let total = content.len();
    let breaks = part.len() > 1 && shared.breaks.swap(false, Ordering::SeqCst);
    let body = if breaks {
        let half = Ok(part[..part.len() / 2].to_vec());
        Body::from_stream(futures::stream::iter([half, Err(std::io::Error::other("broken"))]))
    } else {
        Body::from(part)
    };
    Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{total}"))
        .header(header::CONTENT_LENGTH, last - first + 1)
        .header(header::ETAG, format!("\"{org}-{name}-{}\"", file.replace('/', "-")))
        .header("x-repo-commit", COMMIT)
        .body(body)
        .unwrap()
}

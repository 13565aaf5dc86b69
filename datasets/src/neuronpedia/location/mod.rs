//! Where an export is read from: a directory, or an HTTP(S) server that lists its files.
//!
//! A location is a tree of folders. Paths are relative to the tree's root, with `/` between names and none at
//! the ends; the root itself is the empty path. Everything above this module sees only [`Location`].

mod autoindex;
mod directory;
mod s3;
mod web;

use std::io::Read;

use latentdb_engine::{Error, ErrorKind, Result};

use self::directory::Directory;
use self::web::Web;

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputFile {
    /// Path from the location's root.
    pub path: String,
    /// Size as stored, if the listing tells.
    pub bytes: Option<u64>,
    /// What changes when the file does: modification time or ETag, if the listing tells.
    pub stamp: Option<String>,
}

/// What one folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Files, in no order.
    pub files: Vec<InputFile>,
    /// Paths of the folders within it, in no order.
    pub folders: Vec<String>,
}

/// A tree of files.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    Directory(Directory),
    Web(Web),
}

impl Location {
    /// The tree at `text`: a path, or an `http://`, `https://` or `s3://` URL (read without credentials).
    pub(crate) async fn open(text: &str) -> Result<Self> {
        if text.starts_with("http://") || text.starts_with("https://") || text.starts_with("s3://") {
            Ok(Self::Web(Web::open(text).await?))
        } else if text.contains("://") {
            Err(Error::new(ErrorKind::Unsupported, format!("cannot import from \"{text}\""))
                .with_hint("give a directory, or an http://, https:// or s3:// URL"))
        } else {
            Ok(Self::Directory(Directory::open(text)?))
        }
    }

    /// What the folder at `path` holds; nothing if there is no such folder.
    pub(crate) async fn list(&self, path: &str) -> Result<Listing> {
        match self {
            Self::Directory(directory) => directory.list(path).await,
            Self::Web(web) => web.list(path).await,
        }
    }

    /// Size and stamp of a file whose listing did not tell them.
    pub(crate) async fn describe(&self, file: InputFile) -> Result<InputFile> {
        match self {
            Self::Web(web) if file.stamp.is_none() => web.describe(file).await,
            _ => Ok(file),
        }
    }

    /// The bytes of a file as stored. The reader blocks: read it on a thread that may.
    pub(crate) async fn read(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        match self {
            Self::Directory(directory) => directory.read(path),
            Self::Web(web) => web.read(path).await,
        }
    }

    /// How messages name the file at `path`.
    pub(crate) fn display(&self, path: &str) -> String {
        match self {
            Self::Directory(directory) => directory.path(path).display().to_string(),
            Self::Web(web) => web.display(path),
        }
    }
}

/// `folder` and `name` as one path.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::collections::{BTreeSet, HashMap};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::{Query, Request, State};
    use axum::response::{Html, IntoResponse, Response};

    use super::*;

    /// Files that a test server knows, as paths below its root.
    fn tree(batches: usize) -> Vec<String> {
        let mut files: Vec<String> =
            (0..batches).map(|batch| format!("v1/m/0-s/features/batch-{batch}.jsonl.gz")).collect();
        files.push("v1/m/0-s/source.jsonl".to_owned());
        files.push("v1/m/0-s x/a b.jsonl".to_owned());
        files
    }

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// A bucket in the way of S3: at most 1,000 keys a page, folders as common prefixes.
    async fn bucket(
        State(files): State<Arc<Vec<String>>>,
        Query(query): Query<HashMap<String, String>>,
        request: Request,
    ) -> Response {
        if !query.contains_key("list-type") {
            let path = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8().unwrap().into_owned();
            return path.into_response();
        }
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        let mut entries: BTreeSet<(bool, String)> = BTreeSet::new();
        for file in files.iter().filter(|file| file.starts_with(&prefix)) {
            let rest = &file[prefix.len()..];
            match rest.split_once('/').filter(|_| query.contains_key("delimiter")) {
                Some((folder, _)) => entries.insert((true, format!("{prefix}{folder}/"))),
                None => entries.insert((false, file.clone())),
            };
        }
        let from: usize =
            query.get("continuation-token").map_or(0, |token| token.strip_prefix("a+/=").unwrap().parse().unwrap());
        let limit = query.get("max-keys").map_or(1000, |keys| keys.parse().unwrap());
        let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
        for (folder, key) in entries.iter().skip(from).take(limit) {
            xml += &match folder {
                true => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
                false => format!("<Contents><Key>{key}</Key><Size>7</Size><ETag>\"e\"</ETag></Contents>"),
            };
        }
        if from + limit < entries.len() {
            xml += &format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>a+/={}</NextContinuationToken>",
                from + limit
            );
        }
        (xml + "</ListBucketResult>").into_response()
    }

    /// A server with index pages, over a directory; it ignores queries, as real ones do.
    async fn index(State(root): State<Arc<PathBuf>>, request: Request) -> Response {
        let path = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8().unwrap().into_owned();
        let path = root.join(path.trim_matches('/'));
        if path.is_file() {
            return ([("etag", "\"e1\"")], std::fs::read(&path).unwrap()).into_response();
        }
        let Ok(entries) = std::fs::read_dir(&path) else { return axum::http::StatusCode::NOT_FOUND.into_response() };
        let link = |entry: std::fs::DirEntry| {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            let name = entry.file_name().into_string().unwrap().replace(' ', "%20");
            format!("<li><a href=\"{name}{slash}\">{name}</a></li>")
        };
        Html(entries.map(|entry| link(entry.unwrap())).collect::<String>()).into_response()
    }

    fn write_tree(root: &Path, batches: usize) {
        for file in tree(batches) {
            let path = root.join(&file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("/{file}")).unwrap();
        }
    }

    /// Every file below the root, and what it holds.
    async fn walk(location: &Location) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(folder) = pending.pop() {
            let listing = location.list(&folder).await.unwrap();
            pending.extend(listing.folders);
            for file in listing.files {
                let file = location.describe(file).await.unwrap();
                assert!(file.stamp.is_some(), "{file:?}");
                if file.path.contains("batch-") && !file.path.contains("batch-77.") {
                    found.push((file.path, String::new()));
                    continue;
                }
                let mut reader = location.read(&file.path).await.unwrap();
                let text =
                    tokio::task::spawn_blocking(move || std::io::read_to_string(&mut reader).unwrap()).await.unwrap();
                found.push((file.path, text));
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_bucket_is_listed_beyond_its_first_thousand_keys() {
        let router = Router::new().fallback(bucket).with_state(Arc::new(tree(2345)));
        let server = serve(router).await;
        let files = walk(&Location::open(&format!("{server}/v1")).await.unwrap()).await;
        assert_eq!(files.len(), 2347);
        assert!(files.contains(&(
            "m/0-s/features/batch-77.jsonl.gz".to_owned(),
            "/v1/m/0-s/features/batch-77.jsonl.gz".to_owned()
        )));
        assert!(files.contains(&("m/0-s x/a b.jsonl".to_owned(), "/v1/m/0-s x/a b.jsonl".to_owned())));
    }

    #[tokio::test]
    async fn index_pages_a_directory_and_a_bucket_give_the_same_tree() {
        let folder = tempfile::tempdir().unwrap();
        write_tree(folder.path(), 80);
        let pages = serve(Router::new().fallback(index).with_state(Arc::new(folder.path().to_owned()))).await;
        let bucket = serve(Router::new().fallback(bucket).with_state(Arc::new(tree(80)))).await;
        let from_pages = walk(&Location::open(&format!("{pages}/v1/m/")).await.unwrap()).await;
        let from_bucket = walk(&Location::open(&format!("{bucket}/v1/m/")).await.unwrap()).await;
        let from_directory = walk(&Location::open(folder.path().join("v1/m").to_str().unwrap()).await.unwrap()).await;
        assert_eq!(from_pages.len(), 82);
        assert_eq!(from_pages, from_bucket);
        assert_eq!(from_pages, from_directory);
        assert!(Location::open(&pages).await.unwrap().read("v1/none").await.is_err());
        let missing = Location::open(&format!("{pages}/none")).await.unwrap().list("").await.unwrap_err();
        assert!(missing.message().contains("404"), "{missing}");
        assert!(Location::open("/no/such/place").await.is_err());
        assert!(Location::open("ftp://x").await.is_err());
    }
}

//! An export on a web server: an S3 bucket that anyone may list, or a server with index pages.
//!
//! Which of the two it is, is found out by asking for an S3 listing first; servers without one answer that
//! with their index page or an error.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use latentdb_engine::{Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED, RANGE};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use super::{InputFile, Listing, autoindex, join, s3};

/// What must be escaped in a path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'+')
    .add(b'&')
    .add(b'=');
/// What must be escaped in a query's value.
const QUERY: &AsciiSet = &PATH.add(b'/').add(b':').add(b'@').add(b'$').add(b',').add(b';');

/// Attempts at one request before it counts as failed.
const ATTEMPTS: u32 = 4;
/// Pieces of a download that wait to be parsed.
const PIECES_AHEAD: usize = 16;

/// A tree of files on a server.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    client: Client,
    /// The tree's root, without a slash at its end.
    root: String,
    listing: ListingStyle,
}

#[derive(Debug, Clone)]
enum ListingStyle {
    /// `ListObjectsV2` at `bucket`, where the root is the folder `prefix` (empty, or ending with a slash).
    S3 { bucket: String, prefix: String },
    /// Index pages.
    Index,
}

impl Web {
    pub(super) async fn open(text: &str) -> Result<Self> {
        let url = parse_url(text)?;
        let client = Client::builder()
            // Files are compressed as stored; what a server compresses on the way would be counted twice.
            .no_gzip()
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(Duration::from_secs(60))
            .user_agent(concat!("latentdb/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot set up HTTP: {error}")))?;
        let root = url.as_str().trim_end_matches('/').to_owned();
        let path = percent_decode_str(url.path()).decode_utf8_lossy().trim_matches('/').to_owned();
        let origin = url.origin().ascii_serialization();
        let mut buckets = vec![(origin.clone(), path.clone())];
        if let Some((bucket, prefix)) = path.split_once('/') {
            buckets.push((format!("{origin}/{}", utf8_percent_encode(bucket, PATH)), prefix.to_owned()));
        }
        for (bucket, prefix) in buckets {
            let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
            let probe = format!("{bucket}/?list-type=2&max-keys=1&prefix={}", utf8_percent_encode(&prefix, QUERY));
            let answer = get_text(&client, &probe).await;
            if answer.is_ok_and(|body| s3::parse(&body).is_some()) {
                return Ok(Self { client, root, listing: ListingStyle::S3 { bucket, prefix } });
            }
        }
        Ok(Self { client, root, listing: ListingStyle::Index })
    }

    pub(super) fn display(&self, path: &str) -> String {
        if path.is_empty() { self.root.clone() } else { format!("{}/{}", self.root, utf8_percent_encode(path, PATH)) }
    }

    pub(super) async fn list(&self, path: &str) -> Result<Listing> {
        match &self.listing {
            ListingStyle::S3 { bucket, prefix } => self.list_s3(bucket, prefix, path).await,
            ListingStyle::Index => self.list_index(path).await,
        }
    }

    async fn list_s3(&self, bucket: &str, root: &str, path: &str) -> Result<Listing> {
        let folder = if path.is_empty() { root.to_owned() } else { format!("{root}{path}/") };
        let first = format!("{bucket}/?list-type=2&delimiter=%2F&prefix={}", utf8_percent_encode(&folder, QUERY));
        let mut next = first.clone();
        let mut listing = Listing::default();
        loop {
            let body = get_text(&self.client, &next).await?;
            let page = s3::parse(&body)
                .ok_or_else(|| Error::new(ErrorKind::Io, format!("{next} did not answer with an S3 listing")))?;
            for object in page.contents {
                let Some(relative) = object.key.strip_prefix(root).filter(|key| !key.ends_with('/')) else { continue };
                listing.files.push(InputFile { path: relative.to_owned(), bytes: object.size, stamp: object.etag });
            }
            let folders = page.common_prefixes.iter().filter_map(|common| common.prefix.strip_prefix(root));
            listing.folders.extend(folders.map(|folder| folder.trim_end_matches('/').to_owned()));
            match page.next_continuation_token.filter(|_| page.is_truncated) {
                Some(token) => next = format!("{first}&continuation-token={}", utf8_percent_encode(&token, QUERY)),
                None => return Ok(listing),
            }
        }
    }

    async fn list_index(&self, path: &str) -> Result<Listing> {
        let url = format!("{}/", self.display(path));
        let mut listing = Listing::default();
        let response = get(&self.client, &url, 0).await?;
        if response.status() == StatusCode::NOT_FOUND && !path.is_empty() {
            return Ok(listing);
        }
        let html = checked(response, &url)?.text().await.map_err(|error| unreachable_url(&url, &error))?;
        for name in autoindex::entries(&html) {
            match name.strip_suffix('/') {
                Some(folder) => listing.folders.push(join(path, folder)),
                None => listing.files.push(InputFile { path: join(path, &name), bytes: None, stamp: None }),
            }
        }
        Ok(listing)
    }

    pub(super) async fn describe(&self, file: InputFile) -> Result<InputFile> {
        let url = self.display(&file.path);
        let answer = self.client.head(&url).send().await.map_err(|error| unreachable_url(&url, &error))?;
        let response = checked(answer, &url)?;
        let headers = response.headers();
        Ok(InputFile {
            bytes: header(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()),
            stamp: header(headers, ETAG.as_str()).or_else(|| header(headers, LAST_MODIFIED.as_str())),
            ..file
        })
    }

    pub(super) async fn read(&self, path: &str) -> Result<Box<dyn Read + Send>> {
        let url = self.display(path);
        let response = checked(get(&self.client, &url, 0).await?, &url)?;
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(download(self.client.clone(), url, response, sender));
        Ok(Box::new(Download { pieces: receiver, current: Bytes::new() }))
    }
}

/// Feeds a response's body to a [`Download`]; a connection that breaks is taken up where it broke.
async fn download(client: Client, url: String, first: Response, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let stamp = header(first.headers(), ETAG.as_str());
    let mut response = first;
    let mut received = 0_u64;
    let mut failures = 0;
    loop {
        let mut body = response.bytes_stream();
        let broken = loop {
            match body.next().await {
                Some(Ok(piece)) => {
                    received += piece.len() as u64;
                    if pieces.send(Ok(piece)).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => break error,
                None => return,
            }
        };
        failures += 1;
        let resumed = if failures < ATTEMPTS { get(&client, &url, received).await.ok() } else { None };
        match resumed {
            // The rest of the same file only: a server that ignores the range, or a file that was replaced
            // meanwhile, would give bytes that do not follow on.
            Some(answer)
                if answer.status() == StatusCode::PARTIAL_CONTENT
                    && header(answer.headers(), ETAG.as_str()) == stamp =>
            {
                response = answer;
            }
            _ => {
                let _ = pieces.send(Err(io::Error::other(format!("the download broke off: {broken}")))).await;
                return;
            }
        }
    }
}

/// A download as a blocking reader.
struct Download {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Download {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let n = out.len().min(self.current.len());
        self.current.split_to(n).copy_to_slice(out.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}

/// The tree's root that `text` means. Browsing pages of buckets carry it as a parameter.
fn parse_url(text: &str) -> Result<Url> {
    let wrong = |reason: String| Error::new(ErrorKind::InvalidValue, format!("\"{text}\" is not a URL: {reason}"));
    let https = match text.strip_prefix("s3://") {
        Some(rest) => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            format!("https://{bucket}.s3.amazonaws.com/{key}")
        }
        None => text.to_owned(),
    };
    let mut url = Url::parse(&https).map_err(|error| wrong(error.to_string()))?;
    let browsed = url.query_pairs().find(|(key, _)| key == "prefix").map(|(_, value)| value.into_owned());
    if let Some(prefix) = browsed {
        url.set_path(&prefix);
    } else if url.path().ends_with("/index.html") {
        let folder = url.path().trim_end_matches("index.html").to_owned();
        url.set_path(&folder);
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// One request, tried again while the server is out of reach or overloaded.
async fn get(client: &Client, url: &str, from_byte: u64) -> Result<Response> {
    let mut pause = Duration::from_millis(200);
    for attempt in 1.. {
        let mut request = client.get(url);
        if from_byte > 0 {
            request = request.header(RANGE, format!("bytes={from_byte}-"));
        }
        match request.send().await {
            Ok(response) if attempt == ATTEMPTS || !is_transient(response.status()) => return Ok(response),
            Ok(_) => {}
            Err(error) if attempt == ATTEMPTS || error.is_builder() => return Err(unreachable_url(url, &error)),
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause *= 3;
    }
    Err(Error::new(ErrorKind::Internal, "the number of attempts ran out"))
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

async fn get_text(client: &Client, url: &str) -> Result<String> {
    let response = checked(get(client, url, 0).await?, url)?;
    response.text().await.map_err(|error| unreachable_url(url, &error))
}

fn checked(response: Response, url: &str) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(Error::new(ErrorKind::Io, format!("{url} answered {}", response.status())))
}

fn unreachable_url(url: &str, error: &reqwest::Error) -> Error {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Error::new(ErrorKind::Io, format!("cannot read {url}: {reason}"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_that_mean_the_same_tree() {
        let bucket = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com";
        let expected = format!("{bucket}/v1/gpt2-small/");
        assert_eq!(parse_url(&format!("{bucket}/index.html?prefix=v1/gpt2-small/")).unwrap().as_str(), expected);
        assert_eq!(parse_url(&format!("{bucket}/v1/gpt2-small/")).unwrap().as_str(), expected);
        assert_eq!(parse_url("http://h/v1/index.html").unwrap().as_str(), "http://h/v1/");
        assert_eq!(parse_url("s3://b/v1/m").unwrap().as_str(), "https://b.s3.amazonaws.com/v1/m");
    }
}

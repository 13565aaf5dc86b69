//! The client of an endpoint.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, stream};
use latentdb_engine::{Error, ErrorKind, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, Url, redirect};
use serde_json::json;

use super::answer;
use super::options::EndpointOptions;
use super::refusal::Refusal;
use super::retry::{asked_pause, is_transient, pause};

/// The longest answer that is read: 128 vectors of 4,096 values take about 10 MiB.
const LONGEST_ANSWER: usize = 64 << 20;
/// Bytes of a refusal that are read.
const LONGEST_REFUSAL: usize = 16 << 10;

/// A server that embeds texts.
pub struct EmbeddingEndpoint {
    options: EndpointOptions,
    client: Client,
    url: Url,
    key: Option<String>,
    /// Length of its vectors, once it is known. It must not change.
    dimension: OnceLock<usize>,
}

/// Why an attempt failed.
enum Failure {
    /// It may succeed later; at the earliest after this pause, if the server named one.
    Transient(Box<Error>, Option<Duration>),
    Final(Box<Error>),
}

impl EmbeddingEndpoint {
    /// A client of the endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidValue` if the options make no sense.
    pub fn new(options: EndpointOptions) -> Result<Self> {
        options.check()?;
        let url = options.url()?;
        let key = options.key_for(&url);
        let client = Client::builder()
            .connect_timeout(options.timeout.min(Duration::from_secs(20)))
            .timeout(options.timeout)
            // A POST that is sent on becomes a GET, and the key would go elsewhere.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("latentdb/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot set up HTTP: {error}")))?;
        let dimension = options.dimension.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { options, client, url, key, dimension })
    }

    /// Where the vectors come from, and of which model: a column of vectors records it. It has neither the key nor the
    /// address's query.
    pub fn identity(&self) -> String {
        let dimension = self.options.dimension.filter(|_| self.options.asks_dimension);
        let cut = dimension.map_or_else(String::new, |dimension| format!(" {dimension}"));
        format!("{} {}{cut}", self.place(), self.options.model)
    }

    /// Length of its vectors, if it is known yet.
    pub fn dimension(&self) -> Option<usize> {
        self.dimension.get().copied()
    }

    /// The vector of each text, in the texts' order, as the server gives them. Several requests are under way at a time;
    /// dropping the future cancels them.
    ///
    /// # Errors
    /// `Permission` if the key is refused, `UndefinedObject` if there is no such model or address, `InvalidValue` if the
    /// server refuses the texts, `Resources` if it asks for less, `Io` if it is out of reach or its answer is no use. No
    /// error has the key in it.
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let batches = batches(texts, self.options.batch_texts, self.options.batch_bytes);
        let requests = batches.into_iter().map(|batch| self.embed_batch(texts.get(batch).unwrap_or_default()));
        let parts: Vec<_> = stream::iter(requests).buffered(self.options.in_flight).try_collect().await?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// One request, tried again while that may help.
    async fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let mut attempt = 1;
        loop {
            let (error, asked) = match self.attempt(texts).await {
                Ok(vectors) => return Ok(vectors),
                Err(Failure::Final(error)) => return Err(*error),
                Err(Failure::Transient(error, asked)) => (error, asked),
            };
            let longest = self.options.longest_pause;
            if attempt >= self.options.attempts || asked.is_some_and(|asked| asked > longest) {
                return Err(given_up(&error, attempt, asked));
            }
            let own = pause(attempt, self.options.first_pause, longest);
            tokio::time::sleep(asked.map_or(own, |asked| asked.max(own))).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        let response = self.request(texts)?.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if !status.is_success() {
            let asked = asked_pause(response.headers(), SystemTime::now());
            let body = self.body(response, LONGEST_REFUSAL, true).await.unwrap_or_default();
            let refusal = Refusal::read(status, &body, self.key.as_deref());
            let may_pass = is_transient(status) && !refusal.is_final();
            let error = Box::new(refusal.into_error(&self.place()));
            return Err(if may_pass { Failure::Transient(error, asked) } else { Failure::Final(error) });
        }
        let body = self.body(response, LONGEST_ANSWER, false).await?;
        let vectors = answer::vectors(&body, texts.len(), self.dimension()).map_err(|wrong| self.useless(&wrong))?;
        let width = vectors.first().map(Vec::len).unwrap_or_default();
        // Two first answers may come at the same time.
        match *self.dimension.get_or_init(|| width) {
            known if known == width => Ok(vectors),
            known => Err(self.useless(&format!("it gave vectors of {width} values after some of {known}")).into()),
        }
    }

    fn request(&self, texts: &[&str]) -> Result<reqwest::RequestBuilder, Failure> {
        let mut body = json!({ "model": self.options.model, "input": texts });
        if let (Some(dimension), true, Some(fields)) =
            (self.options.dimension, self.options.asks_dimension, body.as_object_mut())
        {
            fields.insert("dimensions".to_owned(), dimension.into());
        }
        let request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let Some(key) = &self.key else { return Ok(request) };
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| {
            Error::new(ErrorKind::InvalidValue, "the embedding endpoint's key has characters that no key has")
        })?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }

    /// A response's body. One that is longer than `most` is cut there, or is refused.
    async fn body(&self, mut response: Response, most: usize, cuts: bool) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            body.extend_from_slice(&piece);
            if body.len() > most {
                if cuts {
                    break;
                }
                return Err(self.useless(&format!("its answer is longer than {} MiB", most >> 20)).into());
            }
        }
        Ok(body)
    }

    /// The address for people, without a query.
    fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        // The address in the library's message has the query.
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        let own = Error::new(ErrorKind::Io, format!("{} cannot be reached: {reason}", self.place()))
            .with_hint("check the address and the network, and whether the server runs");
        if error.is_builder() { own.into() } else { Failure::Transient(Box::new(own), None) }
    }

    fn useless(&self, wrong: &str) -> Error {
        Error::new(ErrorKind::Io, format!("{}: {wrong}", self.place()))
            .with_hint("the server or its model does not answer as OpenAI's /embeddings does")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(Box::new(error))
    }
}

impl fmt::Debug for EmbeddingEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingEndpoint").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

fn given_up(error: &Error, attempts: u32, asked: Option<Duration>) -> Error {
    let wait =
        asked.map_or_else(String::new, |asked| format!("; it asks to wait for {} s", asked.as_secs_f64().ceil()));
    let times = if attempts == 1 { "one attempt".to_owned() } else { format!("{attempts} attempts") };
    let told = Error::new(error.kind(), format!("{} (after {times}{wait})", error.message()));
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// Runs of texts for one request each: at most so many, and of at most so many bytes unless it is one text.
fn batches(texts: &[&str], most_texts: usize, most_bytes: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (number, text) in texts.iter().enumerate() {
        bytes += text.len();
        match batches.last_mut().filter(|batch| batch.len() < most_texts && bytes <= most_bytes) {
            Some(batch) => batch.end = number + 1,
            None => {
                batches.push(number..number + 1);
                bytes = text.len();
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn requests_keep_to_both_limits_and_have_every_text_once() {
        let texts = ["aaaa", "bb", "c", "dddddddddd", "e", "", ""];
        assert_eq!(batches(&texts, 3, 6), [0..2, 2..3, 3..4, 4..7]);
        assert_eq!(batches(&texts, 2, 100), [0..2, 2..4, 4..6, 6..7]);
        assert!(batches(&[], 3, 6).is_empty());
    }
}

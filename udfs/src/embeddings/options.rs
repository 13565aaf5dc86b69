//! Where an endpoint is, and how it is asked.

use std::fmt;
use std::time::Duration;

use latentdb_engine::{Error, ErrorKind, Result};
use reqwest::Url;

/// Has the key if none is given.
const KEY_VARIABLE: &str = "LATENTDB_EMBEDDING_KEY";
/// Has the key for OpenAI's own server, and no other: a key must not go to somebody else.
const OPENAI_VARIABLE: &str = "OPENAI_API_KEY";
/// OpenAI's own server.
const OPENAI_HOST: &str = "api.openai.com";

/// How an endpoint is asked for embeddings.
#[derive(Clone)]
#[non_exhaustive]
pub struct EndpointOptions {
    /// Address that `/embeddings` follows, such as `https://api.openai.com/v1`.
    pub base: String,
    /// Name of the model, as the server knows it.
    pub model: String,
    /// Key, sent as a bearer token. If none is given, that of the environment: `LATENTDB_EMBEDDING_KEY`, or for OpenAI's own
    /// server `OPENAI_API_KEY`. Servers of one's own need none.
    pub key: Option<String>,
    /// Length that vectors must have. It is asked of the server, too, if [`asks_dimension`](Self::asks_dimension) is set.
    pub dimension: Option<usize>,
    /// Whether the server is asked for vectors of that length, which not every model can give.
    pub asks_dimension: bool,
    /// Texts of one request.
    pub batch_texts: usize,
    /// Bytes of one request's texts; a longer text goes by itself.
    pub batch_bytes: usize,
    /// Requests that are under way at a time.
    pub in_flight: usize,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often one request is tried.
    pub attempts: u32,
    /// Pause before the second attempt; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause. A server that asks for a longer one is not waited for.
    pub longest_pause: Duration,
}

impl EndpointOptions {
    /// Asks `model` of the server at `base`.
    pub fn new(base: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            model: model.into(),
            key: None,
            dimension: None,
            asks_dimension: false,
            batch_texts: 128,
            batch_bytes: 256 << 10,
            in_flight: 4,
            timeout: Duration::from_secs(60),
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }

    /// The address that requests go to.
    pub(super) fn url(&self) -> Result<Url> {
        let invalid = |reason: &str| {
            Error::new(ErrorKind::InvalidValue, format!("the embedding endpoint's address is no use: {reason}"))
                .with_hint("give what stands before /embeddings, such as https://api.openai.com/v1")
        };
        let mut url = Url::parse(&self.base).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has a name or a password in it; a key is an option of its own"));
        }
        url.set_fragment(None);
        let has_it = url.path().trim_end_matches('/').ends_with("/embeddings");
        if let (false, Ok(mut path)) = (has_it, url.path_segments_mut()) {
            path.pop_if_empty().push("embeddings");
        }
        Ok(url)
    }

    /// The key for `url`.
    pub(super) fn key_for(&self, url: &Url) -> Option<String> {
        let named = |name: &str| std::env::var(name).ok();
        let for_openai = || (url.host_str() == Some(OPENAI_HOST)).then(|| named(OPENAI_VARIABLE)).flatten();
        let key = self.key.clone().or_else(|| named(KEY_VARIABLE)).or_else(for_openai);
        key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty())
    }

    /// Refuses options that would never come to an end or ask for nothing.
    pub(super) fn check(&self) -> Result<()> {
        let invalid =
            |what: &str| Err(Error::new(ErrorKind::InvalidValue, format!("an embedding endpoint needs {what}")));
        if self.model.is_empty() {
            return invalid("the name of a model");
        }
        if self.batch_texts == 0 || self.in_flight == 0 || self.attempts == 0 || self.timeout.is_zero() {
            return invalid("at least one text, one request, one attempt and some time");
        }
        if self.dimension == Some(0) || (self.asks_dimension && self.dimension.is_none()) {
            return invalid("a dimension of at least 1 to ask for");
        }
        Ok(())
    }
}

impl fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the key nor the address's query, which may have one.
        let base = self.base.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("EndpointOptions").field("base", &base).field("model", &self.model).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::EndpointOptions;

    fn url(base: &str) -> Result<String, String> {
        EndpointOptions::new(base, "m").url().map(String::from).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_gets_its_path_once_and_keeps_its_query() {
        assert_eq!(url("https://h/v1").unwrap(), "https://h/v1/embeddings");
        assert_eq!(url("https://h/v1/").unwrap(), "https://h/v1/embeddings");
        assert_eq!(url("https://h/v1/embeddings").unwrap(), "https://h/v1/embeddings");
        assert_eq!(url("http://h:8080").unwrap(), "http://h:8080/embeddings");
        assert_eq!(url("https://h/d?api-version=1").unwrap(), "https://h/d/embeddings?api-version=1");
        for bad in ["h/v1", "ftp://h/v1", "https://me:secret@h/v1", ""] {
            let error = url(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let mut options = EndpointOptions::new("https://h/v1?key=secret", "m");
        options.key = Some("secret".to_owned());
        assert!(!format!("{options:?}").contains("secret"));
        assert_eq!(options.key_for(&options.url().unwrap()).as_deref(), Some("secret"));
    }
}

//! What an endpoint says when it refuses, for people to read.

use latentdb_engine::{Error, ErrorKind};
use reqwest::StatusCode;
use serde_json::Value;

/// Characters of what a server said that are shown.
const SHOWN: usize = 300;

/// A server's refusal.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What it said, shortened.
    said: String,
    /// Its word for the kind of refusal, if it has one.
    code: Option<String>,
}

impl Refusal {
    /// Reads a refusal's body, without whatever is `secret` in it: some servers repeat the key that they refuse.
    pub(super) fn read(status: StatusCode, body: &[u8], secret: Option<&str>) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let inner = json.get("error").unwrap_or(&json);
        let part = |name: &str| inner.get(name).and_then(Value::as_str).map(str::to_owned);
        let said = part("message").or_else(|| inner.as_str().map(str::to_owned)).unwrap_or_else(|| text.into_owned());
        let said = match secret {
            Some(secret) => said.replace(secret, "…"),
            None => said,
        };
        let code = part("code").or_else(|| part("type"));
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
        Self { status, said, code }
    }

    /// Whether it is about money, which no waiting brings.
    pub(super) fn is_final(&self) -> bool {
        self.code.as_deref() == Some("insufficient_quota")
    }

    /// The refusal as an error. `place` is where it came from.
    pub(super) fn into_error(self, place: &str) -> Error {
        let said = if self.said.is_empty() { String::new() } else { format!(": {}", self.said) };
        let message = format!("{place} answered {}{said}", self.status);
        match self.status.as_u16() {
            401 | 403 => Error::new(ErrorKind::Permission, message)
                .with_hint("check the endpoint's key, which LATENTDB_EMBEDDING_KEY may have too"),
            404 => Error::new(ErrorKind::UndefinedObject, message)
                .with_hint("check the address, which /embeddings is put behind, and the model's name"),
            429 => Error::new(ErrorKind::Resources, message).with_hint("ask for less at a time, or try again later"),
            300..400 => Error::new(ErrorKind::Io, message).with_hint("name the address that it points to"),
            400..500 => Error::new(ErrorKind::InvalidValue, message)
                .with_hint("the server does not take these texts: they may be empty, too long or too many at a time"),
            _ => Error::new(ErrorKind::Io, message).with_hint("the server is at fault; try again later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use latentdb_engine::ErrorKind;
    use reqwest::StatusCode;

    use super::Refusal;

    #[test]
    fn what_was_said_is_shown_shortened_and_without_the_key() {
        let body = br#"{"error":{"message":"Incorrect API key\n provided: sk-secret.","code":"invalid_api_key"}}"#;
        let error = Refusal::read(StatusCode::UNAUTHORIZED, body, Some("sk-secret")).into_error("http://h");
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(error.message().contains("Incorrect API key provided: …."), "{error}");
        let long = Refusal::read(StatusCode::BAD_GATEWAY, "x".repeat(5000).as_bytes(), None).into_error("http://h");
        assert!(long.message().len() < 400 && long.kind() == ErrorKind::Io);
        let plain =
            Refusal::read(StatusCode::NOT_FOUND, br#"{"error":"model not found"}"#, None).into_error("http://h");
        assert!(plain.message().ends_with("model not found"), "{plain}");
    }

    #[test]
    fn a_quota_that_is_used_up_is_not_waited_for() {
        let body = br#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
        assert!(Refusal::read(StatusCode::TOO_MANY_REQUESTS, body, None).is_final());
        assert!(!Refusal::read(StatusCode::TOO_MANY_REQUESTS, b"slow down", None).is_final());
    }
}

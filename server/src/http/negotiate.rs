//! Which format the client wants, by its `Accept` header.

use axum::http::{HeaderMap, StatusCode, header};
use latentdb_engine::{Error, ErrorKind};

use super::error::ApiError;

/// A format that rows can be answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON document: columns, then rows.
    Json,
    /// A JSON object on each line.
    Ndjson,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl Format {
    const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Arrow, Self::Parquet];

    /// The media type of an answer in this format.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    fn answers(self, range: &str) -> bool {
        let range = range.to_ascii_lowercase();
        match range.split_once('/') {
            Some(("*", "*")) => self == Self::Json,
            Some(("application", "*")) => self == Self::Json,
            _ => range == self.media_type() || (self == Self::Ndjson && range == "application/ndjson"),
        }
    }
}

/// The format the client likes best of those we have; JSON if it does not say.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Format, ApiError> {
    let mut best: Option<(f32, Format)> = None;
    let mut asked = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            asked = true;
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let format = Format::ALL.into_iter().find(|format| format.answers(name));
            if let Some(format) = format
                && weight > best.map_or(0.0, |(best, _)| best)
            {
                best = Some((weight, format));
            }
        }
    }
    match best {
        Some((_, format)) => Ok(format),
        None if !asked => Ok(Format::Json),
        None => {
            let error = Error::new(ErrorKind::InvalidValue, "none of the formats in the Accept header is there")
                .with_hint(format!("ask for one of {}", Format::ALL.map(Format::media_type).join(", ")));
            Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, error))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn accept(value: &str) -> Option<Format> {
        let headers = [(header::ACCEPT, value.parse().unwrap())].into_iter().collect();
        negotiate(&headers).ok()
    }

    #[test]
    fn the_heaviest_known_format_wins() {
        assert_eq!(accept("*/*"), Some(Format::Json));
        assert_eq!(accept("text/html, application/x-ndjson;q=0.9, */*;q=0.1"), Some(Format::Ndjson));
        assert_eq!(accept("application/json;q=0.5, application/vnd.apache.arrow.stream"), Some(Format::Arrow));
        assert_eq!(accept("text/html"), None);
        assert_eq!(negotiate(&HeaderMap::new()).ok(), Some(Format::Json));
    }
}

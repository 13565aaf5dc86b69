//! Where weights lie: a folder or file of this machine, or a place in a repository of the Hugging Face hub.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use latentdb_engine::{Error, ErrorKind, Result};

/// Where weights lie. As text: a path, or `hf:org/repo`, `hf:org/repo@revision/folder`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A folder or file of this machine.
    Path(PathBuf),
    /// A place on the hub.
    Hub(HubPlace),
}

/// A repository of the hub, or a folder or file in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubPlace {
    /// `org/repo`, or a name alone for the oldest models.
    pub repository: String,
    /// Branch, tag or commit; the default branch if none.
    pub revision: Option<String>,
    /// Folder or file; everything if none.
    pub path: Option<String>,
}

const SCHEME: &str = "hf:";

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix(SCHEME) {
            Some(place) => place.strip_prefix("//").unwrap_or(place).parse().map(Self::Hub),
            None => Ok(Self::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Hub(place) => place.fmt(f),
        }
    }
}

impl FromStr for HubPlace {
    type Err = Error;

    /// Reads what follows `hf:`.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            Error::new(ErrorKind::InvalidValue, format!("{SCHEME}{text} names no place on the hub"))
                .with_hint("write hf:ORG/REPO, hf:ORG/REPO/FOLDER or hf:ORG/REPO@REVISION/FOLDER")
        };
        let segments: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(malformed());
        }
        let (names, path) = segments.split_at(segments.len().min(2));
        let names = names.join("/");
        let (repository, revision) = match names.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision.to_owned())),
            None => (names.as_str(), None),
        };
        if repository.is_empty() || revision.as_deref() == Some("") {
            return Err(malformed());
        }
        let path = (!path.is_empty()).then(|| path.join("/"));
        Ok(Self { repository: repository.to_owned(), revision, path })
    }
}

impl fmt::Display for HubPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.path {
            Some(path) => write!(f, "/{path}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HubPlace, Location};

    #[test]
    fn a_place_on_the_hub_is_read_and_written() {
        for (text, repository, revision, path) in [
            ("hf:google/gemma-2-2b", "google/gemma-2-2b", None, None),
            ("hf:gpt2", "gpt2", None, None),
            ("hf:a/b@1f/layer_5/x.npz", "a/b", Some("1f"), Some("layer_5/x.npz")),
            ("hf:a/b/blocks.0:v1", "a/b", None, Some("blocks.0:v1")),
        ] {
            let place = HubPlace {
                repository: repository.to_owned(),
                revision: revision.map(str::to_owned),
                path: path.map(str::to_owned),
            };
            assert_eq!(text.parse::<Location>().unwrap(), Location::Hub(place));
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        assert_eq!("hf://a/b/c/".parse::<Location>().unwrap().to_string(), "hf:a/b/c");
        assert_eq!("./hf".parse::<Location>().unwrap(), Location::Path("./hf".into()));
    }

    #[test]
    fn a_malformed_place_is_refused() {
        for text in ["hf:", "hf:a/b/../c", "hf:a//b", "hf:a/b@", "hf:@x"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}

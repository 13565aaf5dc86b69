//! Where things lie in a Neuronpedia v1 export.
//!
//! ```text
//! v1/{model}/{source}/model.jsonl, release.jsonl, sourceset.jsonl, source.jsonl     one row each
//! v1/{model}/{source}/features/batch-{N}.jsonl.gz
//! v1/{model}/{source}/activations/batch-{N}.jsonl.gz
//! v1/{model}/{source}/explanations/batch-{N}.jsonl.gz
//! ```
//!
//! Batches of one kind are numbered without gaps from 0. Batches of different kinds with the same number
//! need not cover the same features: an export made from Neuronpedia's database orders features by their
//! index as text ("0", "1", "10", "100", …) and activations by number.

use std::fmt;

use latentdb_engine::{Error, ErrorKind, Result, text_literal};

use super::location::InputFile;

/// Features of one batch in the exports we write.
pub(crate) const FEATURES_PER_BATCH: i32 = 1024;

/// A source's address: `model/source`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct SourceAddress {
    /// Model id.
    pub model_id: String,
    /// Source id.
    pub source_id: String,
}

impl SourceAddress {
    /// Reads `model/source`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((model, source)) if !model.is_empty() && !source.is_empty() && !source.contains('/') => {
                Ok(Self { model_id: model.to_owned(), source_id: source.to_owned() })
            }
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("\"{text}\" is not a source's address"))
                .with_hint("write model/source, as in gpt2-small/10-res-jb")),
        }
    }

    /// The condition that selects the source's rows in every table that has them.
    pub(crate) fn predicate(&self) -> String {
        format!("model_id = {} AND source_id = {}", text_literal(&self.model_id), text_literal(&self.source_id))
    }

    /// The same condition on the table that a query calls `alias`.
    pub(crate) fn predicate_on(&self, alias: &str) -> String {
        format!(
            "{alias}.model_id = {} AND {alias}.source_id = {}",
            text_literal(&self.model_id),
            text_literal(&self.source_id)
        )
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model_id, self.source_id)
    }
}

/// The records that come in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Features,
    Activations,
    Explanations,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Features, Kind::Activations, Kind::Explanations];

    /// Name of the folder, and of the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Features => "features",
            Kind::Activations => "activations",
            Kind::Explanations => "explanations",
        }
    }
}

/// The batch files of one kind, by number.
pub(crate) fn batches(kind: Kind, files: &[InputFile], allow_gaps: bool) -> Result<Vec<InputFile>> {
    let mut numbered: Vec<(u64, InputFile)> =
        files.iter().filter_map(|file| batch_number(&file.path).map(|number| (number, file.clone()))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    if let Some((_, file)) = twice(&numbered) {
        return Err(Error::new(
            ErrorKind::BadInput,
            format!("{} has the same batch number as another file of {}", file.path, kind.name()),
        )
        .with_hint("keep one file for each batch"));
    }
    let gap = (0_u64..).zip(&numbered).find(|(expected, (number, _))| expected != number);
    if let (Some((expected, (_, file))), false) = (gap, allow_gaps) {
        return Err(Error::new(
            ErrorKind::BadInput,
            format!("batch {expected} of {} is missing: the next one is {}", kind.name(), file.path),
        )
        .with_hint("fetch the missing file, or allow gaps to import what is there"));
    }
    Ok(numbered.into_iter().map(|(_, file)| file).collect())
}

fn twice(numbered: &[(u64, InputFile)]) -> Option<&(u64, InputFile)> {
    numbered.windows(2).find_map(|pair| match pair {
        [(a, _), second @ (b, _)] if a == b => Some(second),
        _ => None,
    })
}

/// The number of `…/batch-{N}.jsonl[.gz]`.
fn batch_number(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".jsonl")?;
    stem.strip_prefix("batch-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn files(names: &[&str]) -> Vec<InputFile> {
        names.iter().map(|name| InputFile { path: (*name).to_owned(), bytes: None, stamp: None }).collect()
    }

    #[test]
    fn batches_are_ordered_by_number_and_other_files_are_skipped() {
        let listed = files(&["f/batch-10.jsonl.gz", "f/batch-2.jsonl", "f/notes.txt", "f/batch-x.jsonl"]);
        let found = batches(Kind::Features, &listed, true).unwrap();
        let paths: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["f/batch-2.jsonl", "f/batch-10.jsonl.gz"]);
    }

    #[test]
    fn a_missing_batch_is_refused_by_number_unless_gaps_are_allowed() {
        let listed = files(&["a/batch-0.jsonl.gz", "a/batch-2.jsonl.gz"]);
        let error = batches(Kind::Activations, &listed, false).unwrap_err();
        assert!(error.message().contains("batch 1 of activations"), "{error}");
        assert_eq!(batches(Kind::Activations, &listed, true).unwrap().len(), 2);
        let error = batches(Kind::Activations, &files(&["a/batch-1.jsonl.gz"]), false).unwrap_err();
        assert!(error.message().contains("batch 0"), "{error}");
    }

    #[test]
    fn two_files_with_one_number_are_refused() {
        for allow_gaps in [false, true] {
            let listed = files(&["a/batch-0.jsonl", "a/batch-5.jsonl", "a/batch-5.jsonl.gz"]);
            assert!(batches(Kind::Features, &listed, allow_gaps).is_err());
        }
    }

    #[test]
    fn addresses_have_two_parts() {
        let address = SourceAddress::parse("gpt2-small/10-res-jb").unwrap();
        assert_eq!((address.model_id.as_str(), address.source_id.as_str()), ("gpt2-small", "10-res-jb"));
        for wrong in ["gpt2-small", "gpt2-small/", "/x", "a/b/c", ""] {
            assert!(SourceAddress::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! A segment of an index, and the data files that it covers.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::definition::IndexKind;
use super::failure::{from_text, from_vectors};
use crate::Result;

/// A segment's file, and the data files whose rows it holds, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentFiles {
    /// Name within the index' folder.
    pub name: String,
    pub files: Vec<CoveredFile>,
}

/// A data file that a segment covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CoveredFile {
    /// Path within the table's folder.
    pub path: String,
    pub rows: u32,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub files: SegmentFiles,
    pub content: Content,
}

/// What is searched.
#[derive(Debug)]
pub(crate) enum Content {
    Text(latentdb_text::Segment),
    Vectors(Box<latentdb_vectors::Segment>),
}

impl Segment {
    /// Opens and checks the segment in `path`.
    pub(super) fn open(path: &Path, files: SegmentFiles, kind: &IndexKind) -> Result<Self> {
        let content = match kind {
            IndexKind::Text => Content::Text(latentdb_text::Segment::open(path).map_err(from_text)?),
            IndexKind::Vector(_) => {
                Content::Vectors(Box::new(latentdb_vectors::Segment::open(path).map_err(from_vectors)?))
            }
        };
        Ok(Self { files, content })
    }

    /// How long a search for the `k` nearest is going to take, about: as long as to read so many bytes in order. `ef` as there.
    pub(super) fn expected_bytes(&self, k: usize, ef: Option<usize>) -> usize {
        match &self.content {
            Content::Vectors(vectors) => vectors.expected_bytes(k, ef),
            Content::Text(_) => 0,
        }
    }
}

impl SegmentFiles {
    /// The files with the rows of the segment that are theirs.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&CoveredFile, Range<u32>)> {
        let mut next = 0u32;
        self.files.iter().map(move |file| {
            let start = next;
            next = next.saturating_add(file.rows);
            (file, start..next)
        })
    }

    /// Rows of all files.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|file| u64::from(file.rows)).sum()
    }
}

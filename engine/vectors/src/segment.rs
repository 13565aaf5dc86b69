//! An open segment.

use std::path::Path;

use crate::encoder::{Encoded, Encoder};
use crate::error::Result;
use crate::filter::RowFilter;
use crate::format::{self, File};
use crate::metric::Metric;
use crate::search::{self, Hit, SearchOptions};
use crate::walk::Scratches;

/// Vectors of one file, to be searched. Any number of threads may search at a time.
///
/// The file is mapped into memory, not read into it: what searches touch stays in the page cache, which is the links, the
/// high bytes of the codes, and few of the low bytes.
#[derive(Debug)]
pub struct Segment {
    file: File,
    encoder: Encoder,
    scratches: Scratches,
}

impl Segment {
    /// Opens a file that [`SegmentBuilder::write`](crate::SegmentBuilder::write) wrote. Reads and verifies all of it.
    ///
    /// Fails with [`Error::Io`](crate::Error::Io), [`Error::Version`](crate::Error::Version) for a format that this version
    /// does not know, and [`Error::Damaged`](crate::Error::Damaged) for anything else that is not a whole segment.
    pub fn open(path: &Path) -> Result<Self> {
        let file = format::open(path)?;
        let contents = file.contents();
        let encoder = Encoder { metric: contents.codes.metric, centre: contents.centre.to_vec() };
        Ok(Self { file, encoder, scratches: Scratches::default() })
    }

    /// Up to `k` rows near `query`, the nearest first, the lower row first among equals. Fewer if fewer are allowed.
    ///
    /// Approximate: a nearer row may be missing. Fails for a query of another dimension, with components that are not
    /// finite, or too long, and under [`Metric::Cosine`] for a zero vector.
    pub fn search(&self, query: &[f32], k: usize, options: &SearchOptions<'_>) -> Result<Vec<Hit>> {
        let query = self.encoder.encode(query)?;
        let contents = self.file.contents();
        Ok(self.scratches.lend(|scratch| search::search(&contents, &query, k, options, scratch)))
    }

    /// How long a search without a filter is going to take, about: as long as to read so many bytes from memory in order.
    pub fn expected_bytes(&self, k: usize, ef: Option<usize>) -> usize {
        search::expected_bytes(&self.file.contents(), k, ef)
    }

    /// The `k` rows nearest to `query`, in the same order. Reads every allowed vector. Fails as [`Segment::search`] does.
    pub fn exact(&self, query: &[f32], k: usize, filter: Option<&RowFilter>) -> Result<Vec<Hit>> {
        let query: Encoded = self.encoder.encode(query)?;
        Ok(search::exact(&self.file.contents(), &query, k, filter))
    }

    /// What distances are.
    pub fn metric(&self) -> Metric {
        self.encoder.metric
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.encoder.dim()
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.file.contents().rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that have a vector, ascending.
    pub fn rows(&self) -> &[u32] {
        self.file.contents().rows
    }

    /// How the segment is searched by default.
    pub fn facts(&self) -> Facts {
        let contents = self.file.contents();
        let codes = contents.codes;
        let layers = contents.graph.iter().flat_map(|graph| &graph.layers);
        let graph_bytes = layers.map(|layer| size_of_val(layer.slots) + layer.nodes.map_or(0, size_of_val)).sum();
        Facts {
            ef: contents.graph.is_some().then_some(contents.ef as usize),
            recall: contents.graph.is_some().then_some(contents.recall),
            graph_bytes,
            walked_bytes: graph_bytes + size_of_val(codes.high) + size_of_val(codes.terms) + size_of_val(contents.rows),
            file_bytes: self.file.bytes(),
        }
    }
}

/// About a segment, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// Default width of a walk; `None` if the segment has no graph.
    pub ef: Option<usize>,
    /// The part of the ten nearest that such walks found when the segment was built, for vectors not in the graph.
    pub recall: Option<f32>,
    /// The graph's size.
    pub graph_bytes: usize,
    /// What walks read: the graph, high bytes, rows.
    pub walked_bytes: usize,
    /// The whole file.
    pub file_bytes: usize,
}

//! Building segments: from vectors to a file.
//!
//! # Why the graph is built here
//!
//! The crate `hnsw_rs` (0.3.5) could build it, and export it through its point indexation. It was measured beside hnswlib on
//! unit vectors with 384 components about 300 centres, with 16 links and an effort of 200:
//!
//! | | 100,000 vectors | 30,000 vectors |
//! |---|---|---|
//! | hnswlib, `f32` | 33 s; 65 s of processor time | 17 s of processor time |
//! | `hnsw_rs`, `f32` with `simdeez_f` | 105 s | |
//! | `hnsw_rs`, our codes and kernel as its `Distance` | | 39 s of processor time |
//! | this module | 25 s of processor time | 7 s of processor time |
//!
//! Its time goes into a reference-counted allocation for each link and a lock for each node. Nodes inserted in batches into
//! flat arrays need neither, and give the same graph for any number of threads. (The first figures of hnswlib and `hnsw_rs`
//! are of a quiet machine and its two cores, all others of a busy one, where only processor time says something.)

mod calibrate;
mod graph;
mod order;
mod select;

use std::ops::ControlFlow;
use std::path::Path;

use self::graph::GraphBuilder;
use crate::codes::{Codes, Term};
use crate::encoder::{Encoder, MAX_DIM, directed, stride};
use crate::error::{Error, Result};
use crate::format::{Contents, write};
use crate::graph::Graph;
use crate::kernels::bytes::Simd;
use crate::metric::Metric;

/// The centre of a segment is the mean of this many of its first vectors.
const SAMPLE: usize = 16_384;
/// When one in so many nodes is linked, it is seen whether a graph can be worth its while.
const FIRST_TRIAL: usize = 8;
/// More links than any use has.
const MOST_LINKS: usize = 256;

/// How a segment is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildOptions {
    /// Links that a new node gets in each layer, HNSW's `M`: 2 to 256. In the lowest layer a node has up to twice as many.
    pub links: usize,
    /// Candidates among which a new node's links are chosen, HNSW's `ef_construction`: at least 1.
    pub effort: usize,
    /// Fewer vectors than this get no graph: reading all their codes takes less time.
    pub graph_from: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { links: 16, effort: 200, graph_from: 10_000 }
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Vectors linked so far.
    pub done: usize,
    /// All vectors.
    pub total: usize,
}

/// Collects the vectors of a segment and writes it. Takes 2 bytes a component, rounded up to 64 components, in memory.
#[derive(Debug)]
pub struct SegmentBuilder {
    options: BuildOptions,
    encoder: Encoder,
    /// The first vectors as they were given, until there are enough to know their centre.
    sample: Vec<Vec<f32>>,
    centred: bool,
    rows: Vec<u32>,
    terms: Vec<Term>,
    high: Vec<i8>,
    low: Vec<i8>,
}

impl SegmentBuilder {
    /// A segment of vectors with `dim` components, 1 to [`MAX_DIM`].
    ///
    /// Fails with [`Error::Argument`] for a dimension or an option that is out of range.
    pub fn new(dim: usize, metric: Metric, options: BuildOptions) -> Result<Self> {
        if !(1..=MAX_DIM).contains(&dim) {
            return Err(Error::Argument("vectors must have 1 to 65536 dimensions"));
        }
        if !(2..=MOST_LINKS).contains(&options.links) || options.effort == 0 {
            return Err(Error::Argument("a graph needs 2 to 256 links a node, and an effort of 1 or more"));
        }
        let encoder = Encoder { metric, centre: vec![0.0; dim] };
        Ok(Self {
            options,
            encoder,
            sample: Vec::new(),
            centred: false,
            rows: Vec::new(),
            terms: Vec::new(),
            high: Vec::new(),
            low: Vec::new(),
        })
    }

    /// Adds the vector of a row. Rows come in ascending order; a row without a vector is left out.
    ///
    /// Fails, and adds nothing, for a row that does not come after the last ([`Error::RowOrder`]), another dimension,
    /// components that are not finite, a vector too long for its squared length to be an `f32`, and under
    /// [`Metric::Cosine`] a zero vector.
    pub fn push(&mut self, row: u32, vector: &[f32]) -> Result<()> {
        if let Some(&previous) = self.rows.last().filter(|&&previous| previous >= row) {
            return Err(Error::RowOrder { previous, row });
        }
        // `graph::NONE` is no node, and a bit of a node's number is free.
        if self.rows.len() >= i32::MAX as usize {
            return Err(Error::Argument("a segment holds 2147483647 vectors at most"));
        }
        if self.centred {
            self.encode(vector)?;
        } else {
            // Encoded about zero first, which says whether it can be.
            self.encoder.encode(vector)?;
            self.sample.push(vector.to_vec());
        }
        self.rows.push(row);
        if self.sample.len() == SAMPLE {
            self.centre()?;
        }
        Ok(())
    }

    /// How many vectors were added.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no vector was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Builds the graph and writes the segment to `path`, in place of what is there. The file appears whole and synced to
    /// disk, or not at all.
    ///
    /// There is no graph if there are few vectors, or if it turns out that walks which find enough take longer than reading
    /// all codes; then the build ends early.
    ///
    /// Works on the threads of the current `rayon` pool. The file is the same for any number of threads. `progress` is told
    /// after every few nodes, and ends the build with [`Error::Cancelled`] by `ControlFlow::Break`.
    pub fn write(mut self, path: &Path, mut progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        self.centre()?;
        let codes = self.codes();
        let contents =
            Contents { codes, centre: &self.encoder.centre, rows: &self.rows, graph: None, ef: 0, recall: 0.0 };
        if self.rows.len() < self.options.graph_from.max(2) {
            return write(path, &contents);
        }
        let count = self.rows.len();
        let mut builder = GraphBuilder::new(codes, self.options);
        builder.insert_until(count - count / FIRST_TRIAL, &mut progress)?;
        if !builder.trial(calibrate::queries(count)).is_promising() {
            return write(path, &contents);
        }
        builder.insert_until(calibrate::queries(count), &mut progress)?;
        let width = builder.trial(calibrate::queries(count)).width();
        let Some((ef, recall)) = width else { return write(path, &contents) };
        builder.insert_until(0, &mut progress)?;
        let graph: Option<Graph<'_>> = Some(builder.graph());
        write(path, &Contents { graph, ef, recall, ..contents })
    }

    fn codes(&self) -> Codes<'_> {
        let dim = self.encoder.dim();
        Codes {
            metric: self.encoder.metric,
            dim,
            stride: stride(dim),
            high: &self.high,
            low: &self.low,
            terms: &self.terms,
            simd: Simd::detect(),
        }
    }

    fn encode(&mut self, vector: &[f32]) -> Result<()> {
        let encoded = self.encoder.encode(vector)?;
        self.high.extend_from_slice(&encoded.high);
        self.low.extend_from_slice(&encoded.low);
        self.terms.push(encoded.term);
        Ok(())
    }

    /// Encodes the sample about its mean.
    fn centre(&mut self) -> Result<()> {
        if self.centred {
            return Ok(());
        }
        let sample = std::mem::take(&mut self.sample);
        self.encoder.centre = mean(self.encoder.metric, self.encoder.dim(), &sample)?;
        self.centred = true;
        sample.iter().try_for_each(|vector| self.encode(vector))
    }
}

/// The mean of vectors, or under cosine of their directions.
fn mean(metric: Metric, dim: usize, vectors: &[Vec<f32>]) -> Result<Vec<f32>> {
    let mut sums = vec![0f64; dim];
    for vector in vectors {
        let directed = directed(metric, vector)?;
        sums.iter_mut().zip(&directed).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    Ok(sums.iter().map(|sum| (sum / vectors.len().max(1) as f64) as f32).collect())
}

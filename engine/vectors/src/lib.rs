//! Nearest neighbours among vectors: distances, and segments of vectors that are searched through a graph.
//!
//! A [`SegmentBuilder`] collects the vectors of rows and writes a file; a [`Segment`] opens it and searches. A segment does
//! not change: whoever adds rows builds another, and leaves out rows that are gone by a [`RowFilter`]. Searches are
//! approximate, except [`Segment::exact`]; the distances that they answer are near enough to order rows, and come
//! from a compact copy of the vectors.
//!
//! This crate knows nothing of tables, SQL or Arrow. It uses the current `rayon` pool to build and to open, and the calling
//! thread to search.
//!
//! ```
//! use std::ops::ControlFlow;
//! use latentdb_vectors::{BuildOptions, Metric, RowFilter, SearchOptions, Segment, SegmentBuilder};
//!
//! let folder = std::env::temp_dir().join(format!("latentdb-vectors-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("directions.segment");
//!
//! let mut builder = SegmentBuilder::new(2, Metric::Cosine, BuildOptions::default())?;
//! for row in 0..360u32 {
//!     let angle = (row as f32).to_radians();
//!     builder.push(row, &[angle.cos(), angle.sin()])?;
//! }
//! builder.write(&path, |_| ControlFlow::Continue(()))?;
//!
//! let segment = Segment::open(&path)?;
//! let hits = segment.search(&[-0.026, 5.0], 3, &SearchOptions::default())?;
//! assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [90, 91, 89]);
//!
//! let even: RowFilter = (0..360).step_by(2).collect();
//! let options = SearchOptions { filter: Some(&even), ..SearchOptions::default() };
//! assert_eq!(segment.search(&[0.0, 5.0], 1, &options)?[0].row, 90);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod codes;
mod encoder;
mod error;
mod filter;
mod format;
mod graph;
mod kernels;
mod metric;
mod search;
mod segment;
mod walk;

pub use build::{BuildOptions, Progress, SegmentBuilder};
pub use encoder::MAX_DIM;
pub use error::{Error, Result};
pub use filter::RowFilter;
pub use metric::{Metric, distance, distances};
pub use search::{Hit, SearchOptions};
pub use segment::{Facts, Segment};

//! The file of a segment.
//!
//! ```text
//! header      64 bytes: magic, format, metric, counts, default width, length of the file, checksum of header and table
//! table       one entry of 32 bytes for each section: kind, layer, offset, length, checksum
//! sections    each begins at a multiple of 64 bytes:
//!   rows      n u32        the row of each node, ascending
//!   centre    dim f32      taken off every vector before it was encoded
//!   terms     n (f32, f32) what one unit of a node's high bytes is worth; its share of its distances
//!   high      n rows of i8 high bytes of the codes, padded with zeros to a multiple of 64 bytes
//!   links 0   n rows of u32, each as many as twice the links of a node; unused slots are 2³²-1
//!   nodes l   u32          the nodes of layer l > 0, ascending
//!   links l   u32          their links in it
//!   low       n rows of i8 low bytes of the codes
//! ```
//!
//! Numbers are little-endian. Checksums are 64-bit xxh3. A segment without a graph has no links and no nodes.
//!
//! All checksums, and that every number is in its range, are verified when a file is opened: it is read once, at the speed
//! of memory or disk, and what a search reads later needs no check. A file must not change while it is open.

mod header;
mod read;
mod write;

pub(crate) use read::{File, open};
pub(crate) use write::write;

use crate::codes::Codes;
use crate::graph::Graph;

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) struct Contents<'a> {
    pub(crate) codes: Codes<'a>,
    pub(crate) centre: &'a [f32],
    pub(crate) rows: &'a [u32],
    pub(crate) graph: Option<Graph<'a>>,
    /// Default width of a walk, and the recall that it reached when the segment was built; 0 without a graph.
    pub(crate) ef: u32,
    pub(crate) recall: f32,
}

#[cfg(target_endian = "big")]
compile_error!("segments are little-endian and mapped as they are");

//! The first bytes of a file.

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::metric::Metric;

pub(super) const MAGIC: [u8; 8] = *b"LatentV\n";
pub(super) const VERSION: u32 = 1;
/// Sections begin at multiples of this.
pub(super) const ALIGN: usize = 64;
/// More sections than any segment has.
pub(super) const MOST_SECTIONS: usize = 64;

/// The header.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: u32,
    pub(super) metric: u32,
    pub(super) dim: u32,
    pub(super) count: u32,
    /// Slots of a node in a layer above 0; in layer 0 it has twice as many. 0 without a graph.
    pub(super) links: u32,
    pub(super) entry: u32,
    pub(super) ef: u32,
    pub(super) recall: f32,
    pub(super) sections: u32,
    pub(super) reserved: u32,
    pub(super) file_length: u64,
    /// Of the header before this, and of the table.
    pub(super) checksum: u64,
}

/// Where a section lies.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Section {
    pub(super) kind: u32,
    pub(super) layer: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) checksum: u64,
}

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Rows = 1,
    Centre = 2,
    Terms = 3,
    High = 4,
    Links = 5,
    Nodes = 6,
    Low = 7,
}

impl Header {
    /// What `checksum` should be.
    pub(super) fn expected_checksum(&self, table: &[Section]) -> u64 {
        let mut hash = Xxh3::new();
        let bytes = bytemuck::bytes_of(self);
        hash.update(&bytes[..bytes.len() - size_of::<u64>()]);
        hash.update(bytemuck::cast_slice(table));
        hash.digest()
    }
}

pub(super) fn checksum(section: &[u8]) -> u64 {
    xxh3_64(section)
}

pub(super) fn metric_code(metric: Metric) -> u32 {
    match metric {
        Metric::L2 => 1,
        Metric::Cosine => 2,
        Metric::InnerProduct => 3,
    }
}

pub(super) fn metric(code: u32) -> Option<Metric> {
    [Metric::L2, Metric::Cosine, Metric::InnerProduct].into_iter().find(|&metric| metric_code(metric) == code)
}

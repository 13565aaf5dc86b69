//! Making one segment of several, without their texts.

use roaring::RoaringBitmap;
use tantivy::BitSet;
use tantivy::directory::{OwnedBytes, RamDirectory};
use tantivy::fastfield::{AliveBitSet, write_alive_bitset};
use tantivy::indexer::merge_filtered_segments;

use super::builder::{assemble, settings};
use super::lengths::LengthsBuilder;
use super::{Segment, SegmentBuilder};
use crate::error::{Error, Result};

/// One segment with the rows of `parts`, of each all rows or those in its bitmap.
///
/// Rows are numbered anew in order: first those of the first segment that are kept, then those of the second, and so on. Row
/// `r` of a segment becomes the number of rows kept before it, which `live.rank(r) - 1` tells within its segment.
///
/// # Errors
///
/// `InvalidInput` where the segments' words were made differently or there is no segment; `TooLarge` beyond 2³¹ − 1 rows.
pub fn merge(parts: &[(&Segment, Option<&RoaringBitmap>)]) -> Result<Segment> {
    let Some((first, _)) = parts.first() else {
        return Err(Error::invalid("there is no text segment to merge"));
    };
    let analysis = first.analysis();
    if parts.iter().any(|(segment, _)| segment.analysis() != analysis) {
        return Err(Error::invalid("text segments of different analyses cannot be merged"));
    }
    let mut lengths = LengthsBuilder::default();
    let mut nulls = RoaringBitmap::new();
    let mut inputs = Vec::new();
    let mut kept = Vec::new();
    for (segment, live) in parts {
        let before = lengths.rows();
        for row in (0..segment.rows()).filter(|row| live.is_none_or(|live| live.contains(*row))) {
            if segment.nulls().contains(row) {
                nulls.insert(lengths.rows());
            }
            lengths.push(segment.length(row));
        }
        if lengths.rows() > before {
            inputs.extend(segment.index().searchable_segments()?);
            kept.push(live.map(|live| alive(live, segment.rows())).transpose()?);
        }
    }
    if inputs.is_empty() {
        return SegmentBuilder::new(analysis)?.finish();
    }
    let directory = RamDirectory::create();
    merge_filtered_segments(&inputs, settings(), kept, directory.clone())?;
    assemble(&directory, analysis, lengths, &nulls)
}

/// The rows of `live` among `rows` as tantivy takes them.
fn alive(live: &RoaringBitmap, rows: u32) -> Result<AliveBitSet> {
    let mut bits = BitSet::with_max_value(rows);
    for row in live.iter().take_while(|row| *row < rows) {
        bits.insert(row);
    }
    let mut bytes = Vec::new();
    write_alive_bitset(&bits, &mut bytes)?;
    Ok(AliveBitSet::open(OwnedBytes::new(bytes)))
}

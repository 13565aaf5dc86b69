//! Rows of a table by where they are: in which data file, and which of its rows.

use std::collections::{BTreeMap, HashMap};

use latentdb_vectors::RowFilter;
use roaring::RoaringBitmap;

use super::segment::SegmentFiles;
use crate::storage::scan::ScanTarget;

/// Rows of some files, by the file's place among those of a scan; ascending.
pub(crate) type RowsOfFiles = BTreeMap<usize, RoaringBitmap>;

/// Where the rows of a segment are among the files of a scan.
#[derive(Debug)]
pub(crate) struct Places {
    /// Rows of the segment, and the place of the file that has them; files that the scan lacks are left out.
    parts: Vec<(std::ops::Range<u32>, usize)>,
    /// Whether the scan has all files.
    is_whole: bool,
}

impl Places {
    pub(crate) fn new(segment: &SegmentFiles, by_path: &HashMap<&str, usize>) -> Self {
        let all: Vec<_> = segment.ranges().collect();
        let parts: Vec<_> =
            all.iter().filter_map(|(file, rows)| Some((rows.clone(), *by_path.get(file.path.as_str())?))).collect();
        Self { is_whole: parts.len() == all.len(), parts }
    }

    /// Whether the scan has none of the files.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Where row `row` of the segment is.
    pub(crate) fn of(&self, row: u32) -> Option<(usize, u32)> {
        let at = self.parts.partition_point(|(rows, _)| rows.end <= row);
        let (rows, place) = self.parts.get(at)?;
        rows.contains(&row).then(|| (*place, row - rows.start))
    }

    /// Places of the files.
    pub(crate) fn files(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|(_, place)| *place)
    }

    /// The rows of the segment that count: those of files that the scan has, and among them the `allowed` ones. None if all
    /// count.
    pub(crate) fn live(&self, allowed: Option<&RowsOfFiles>) -> Option<RoaringBitmap> {
        if self.is_whole && allowed.is_none() {
            return None;
        }
        let mut live = RoaringBitmap::new();
        for (rows, place) in &self.parts {
            match allowed {
                None => {
                    live.insert_range(rows.clone());
                }
                Some(allowed) => {
                    let own = allowed.get(place).into_iter().flatten();
                    live.extend(own.filter_map(|row| rows.start.checked_add(row)).filter(|row| rows.contains(row)));
                }
            }
        }
        Some(live)
    }
}

/// Rows as bits.
pub(crate) fn to_filter(rows: &RoaringBitmap) -> RowFilter {
    rows.iter().collect()
}

/// The files of a scan by their paths.
pub(crate) fn by_path(target: &ScanTarget) -> HashMap<&str, usize> {
    target.files.iter().enumerate().map(|(place, file)| (file.path(), place)).collect()
}

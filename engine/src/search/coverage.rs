//! Which data files of a scan the segments of an index cover, and which are left to be read.

use std::sync::Arc;

use super::index::Index;
use super::rows::{Places, by_path};
use super::segment::Segment;
use crate::storage::scan::ScanTarget;

/// An index beside the files of a scan. A file is covered, or left: never both, and never neither.
#[derive(Debug)]
pub(super) struct Coverage {
    /// Segments that have rows of the scan, and where those are.
    pub(super) parts: Vec<(Arc<Segment>, Places)>,
    /// Places of the files that no segment covers, ascending.
    pub(super) left: Vec<usize>,
}

impl Coverage {
    /// What `index` has of `target`; without one, everything is left.
    pub(super) fn of(index: Option<&Index>, target: &ScanTarget) -> Self {
        let paths = by_path(target);
        let segments = index.map(Index::segments).unwrap_or_default();
        let parts: Vec<(Arc<Segment>, Places)> = segments
            .iter()
            .map(|segment| (Arc::clone(segment), Places::new(&segment.files, &paths)))
            .filter(|(_, places)| !places.is_empty())
            .collect();
        let mut covered = vec![false; target.files.len()];
        for file in parts.iter().flat_map(|(_, places)| places.files()) {
            if let Some(is_covered) = covered.get_mut(file) {
                *is_covered = true;
            }
        }
        let left = covered.iter().enumerate().filter(|(_, is_covered)| !**is_covered).map(|(place, _)| place).collect();
        Self { parts, left }
    }

    /// The scan of what is left alone.
    pub(super) fn rest(&self, target: &ScanTarget) -> ScanTarget {
        let mut rest = target.clone();
        rest.files = self.left.iter().filter_map(|place| target.files.get(*place).cloned()).collect();
        rest
    }
}

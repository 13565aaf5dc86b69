//! Words of data files that no index covers, kept in memory while there is room. Data files never change, so nothing here goes
//! stale.

use std::fmt;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Bytes of the texts that are kept, about.
const ROOM: u64 = 256 << 20;
/// Files that are expected.
const FILES: usize = 256;

/// A column of a data file.
pub(super) type Key = (String, String);

/// A segment in memory, and the bytes of its texts.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) segment: latentdb_text::Segment,
    pub(super) bytes: u64,
}

#[derive(Clone)]
struct ByText;

impl Weighter<Key, Fresh> for ByText {
    fn weight(&self, _: &Key, fresh: &Fresh) -> u64 {
        fresh.bytes.max(1)
    }
}

/// Segments in memory.
pub(super) struct FreshSegments {
    cache: Cache<Key, Fresh, ByText>,
}

impl Default for FreshSegments {
    fn default() -> Self {
        Self { cache: Cache::with_weighter(FILES, ROOM, ByText) }
    }
}

impl FreshSegments {
    pub(super) fn get(&self, key: &Key) -> Option<latentdb_text::Segment> {
        self.cache.get(key).map(|fresh| fresh.segment)
    }

    pub(super) fn keep(&self, key: Key, fresh: Fresh) {
        self.cache.insert(key, fresh);
    }
}

impl fmt::Debug for FreshSegments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshSegments").field("files", &self.cache.len()).finish()
    }
}

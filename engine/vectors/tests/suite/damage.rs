//! Files that are damaged, by chance or on purpose.

use std::sync::LazyLock;

use latentdb_vectors::{BuildOptions, Error, Hit, Metric, SearchOptions, Segment};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::data::{Case, Random, clustered};

const HEADER: usize = 64;
const ENTRY: usize = 32;
const DIM: usize = 6;

/// An undamaged segment with a graph of more than one layer.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let options = BuildOptions { links: 4, effort: 20, graph_from: 2 };
    let case = Case::new(Metric::L2, clustered(4_000, DIM, 10, &mut Random::new(31)), options);
    assert!(case.segment.facts().ef.is_some());
    std::fs::read(&case.path).unwrap()
});

/// Opens the bytes, and if that is possible searches them in all ways.
fn use_it(bytes: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let Ok(segment) = Segment::open(file.path()) else { return false };
    let query = vec![0.5; segment.dim()];
    let filters =
        [2, 4].map(|part| segment.rows().iter().copied().filter(|&row| row < 100_000 && row % part == 0).collect());
    for filter in [None, Some(&filters[0]), Some(&filters[1])] {
        for ef in [None, Some(1)] {
            answered(segment.search(&query, 5, &SearchOptions { ef, filter }));
        }
        answered(segment.exact(&query, 5, filter));
    }
    true
}

/// A centre that is far off makes every query too long, which is told.
fn answered(found: Result<Vec<Hit>, Error>) {
    assert!(matches!(found, Ok(_) | Err(Error::TooLong)), "{found:?}");
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().unwrap()) as usize)
}

/// Makes all checksums right, as far as the table makes sense.
fn sign(bytes: &mut [u8]) {
    let sections = bytes.get(40..44).map_or(0, |count| u32::from_le_bytes(count.try_into().unwrap()) as usize);
    for entry in (0..sections.min(64)).map(|section| HEADER + section * ENTRY) {
        let place = number(bytes, entry + 8).zip(number(bytes, entry + 16));
        let section = place.and_then(|(start, length)| bytes.get(start..start.checked_add(length)?));
        let Some(checksum) = section.map(xxh3_64) else { continue };
        bytes[entry + 24..entry + 32].copy_from_slice(&checksum.to_le_bytes());
    }
    let table = (HEADER + sections * ENTRY).min(bytes.len()).max(HEADER);
    let signed = [&bytes[..HEADER - 8], &bytes[HEADER..table]].concat();
    bytes[HEADER - 8..HEADER].copy_from_slice(&xxh3_64(&signed).to_le_bytes());
}

/// Whether a byte lies between two sections, where nobody reads.
fn is_padding(at: usize) -> bool {
    let sections = u32::from_le_bytes(WHOLE[40..44].try_into().unwrap()) as usize;
    let mut entries = (0..sections).map(|section| HEADER + section * ENTRY);
    let inside = |entry| {
        let (start, length) = number(&WHOLE, entry + 8).zip(number(&WHOLE, entry + 16)).unwrap();
        (start..start + length).contains(&at)
    };
    at >= HEADER + sections * ENTRY && !entries.any(inside)
}

#[test]
fn a_whole_file_is_used_and_signing_changes_nothing() {
    assert!(use_it(&WHOLE));
    let mut signed = WHOLE.clone();
    sign(&mut signed);
    assert!(signed == *WHOLE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_file_cut_off_is_refused(length in 0..WHOLE.len()) {
        prop_assert!(!use_it(&WHOLE[..length]));
    }

    #[test]
    fn a_changed_byte_is_noticed(at in 0..WHOLE.len(), change in 1u8..=255) {
        let mut bytes = WHOLE.clone();
        bytes[at] ^= change;
        prop_assert_eq!(use_it(&bytes), is_padding(at));
    }

    #[test]
    fn a_file_with_right_checksums_and_wrong_numbers_is_refused_or_searched(
        edits in prop::collection::vec((0..WHOLE.len(), any::<u32>()), 1..20),
    ) {
        let mut bytes = WHOLE.clone();
        for (at, value) in edits {
            let at = (at & !3).min(bytes.len() - 4);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        sign(&mut bytes);
        use_it(&bytes);
    }

    #[test]
    fn headers_with_right_checksums_and_wrong_numbers_are_refused_or_searched(
        edits in prop::collection::vec((0usize..120, prop_oneof![any::<u32>(), 0u32..100]), 1..4),
    ) {
        let mut bytes = WHOLE.clone();
        for (at, value) in edits {
            let at = at * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        sign(&mut bytes);
        use_it(&bytes);
    }
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    let links = (0..).map(|section| HEADER + section * ENTRY).find(|&entry| WHOLE[entry] == 5).unwrap();
    let start = number(&WHOLE, links + 8).unwrap();
    let mut bytes = WHOLE.clone();
    bytes[start..start + 4].copy_from_slice(&4_000u32.to_le_bytes());
    sign(&mut bytes);
    assert!(!use_it(&bytes));
    bytes[start..start + 4].copy_from_slice(&3_999u32.to_le_bytes());
    sign(&mut bytes);
    assert!(use_it(&bytes));
}

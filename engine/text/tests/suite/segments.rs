//! Files of segments: written whole, opened the same, refused when damaged; and merged.

use latentdb_text::{Analysis, ErrorKind, Segment, matching, merge};
use proptest::collection::vec;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::made_up::{by_definition, parse, parse_as, query, segment, segment_as, texts};

fn sample() -> Segment {
    segment(&[Some("the cat sat on the mat"), None, Some(""), Some("cats and dogs"), Some(&*"word ".repeat(300))])
}

#[test]
fn searches_may_run_on_any_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Segment>();
    shared::<latentdb_text::Searcher>();
    shared::<latentdb_text::Query>();
}

#[test]
fn rows_keep_their_order_numbers_and_lengths() {
    let segment = sample();
    assert_eq!((segment.rows(), segment.words()), (5, 309));
    assert_eq!((0..6).map(|row| segment.length(row)).collect::<Vec<_>>(), [6, 0, 0, 3, 300, 0]);
    assert_eq!(segment.nulls().iter().collect::<Vec<_>>(), [1]);
    assert_eq!(matching(&segment, &parse("-cat")).unwrap().iter().collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn a_written_segment_is_opened_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.text");
    let segment = segment_as(&[Some("Running dogs"), None, Some("a run")], Analysis::English);
    segment.write(&path).unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.text"], "no temporary file is left");
    let opened = Segment::open(&path).unwrap();
    assert_eq!(opened.bytes(), segment.bytes());
    assert_eq!((opened.rows(), opened.words(), opened.analysis()), (3, 4, Analysis::English));
    assert_eq!(matching(&opened, &parse_as("runs", Analysis::English)).unwrap().iter().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(Segment::open(&folder.path().join("b.text")).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_segment_without_rows_is_one() {
    let segment = segment::<&str>(&[]);
    assert_eq!(segment.rows(), 0);
    let again = Segment::from_bytes(segment.bytes().to_vec()).unwrap();
    assert!(matching(&again, &parse("-a")).unwrap().is_empty());
    assert_eq!(merge(&[(&segment, None), (&again, None)]).unwrap().rows(), 0);
}

#[test]
fn every_changed_bit_and_every_cut_is_noticed() {
    let bytes = sample().bytes().to_vec();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = Segment::from_bytes(damaged).expect_err("one bit differs");
        assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
        let error = Segment::from_bytes(bytes[..at].to_vec()).expect_err("it is cut");
        assert_eq!(error.kind(), ErrorKind::Damaged, "cut at {at}: {error}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Segment::from_bytes(longer).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_damaged_file_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.text");
    for bytes in [&b""[..], b"LDBTEXT\0", &sample().bytes()[..100]] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Segment::open(&path).unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn queries_and_segments_of_different_analyses_do_not_meet() {
    let english = segment_as(&[Some("a")], Analysis::English);
    assert_eq!(matching(&english, &parse("a")).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(merge(&[(&english, None), (&sample(), None)]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(merge(&[]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn random_bytes_are_no_segment(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Segment::from_bytes(bytes.clone()).is_err());
        let started = [&b"LDBTEXT\0\x01\0\0\0"[..], &bytes].concat();
        prop_assert!(Segment::from_bytes(started).is_err());
    }

    #[test]
    fn a_merged_segment_is_that_of_the_rows_kept(
        parts in vec((texts(12, 6), prop::option::of(vec(any::<bool>(), 12))), 1..5),
        queries in vec(query(), 1..5),
    ) {
        let segments: Vec<Segment> = parts.iter().map(|(texts, _)| segment(texts)).collect();
        let live: Vec<Option<RoaringBitmap>> = parts
            .iter()
            .map(|(_, keep)| keep.as_ref().map(|keep| (0..).zip(keep).filter(|(_, keep)| **keep).map(|(row, _)| row).collect()))
            .collect();
        let inputs: Vec<_> = segments.iter().zip(live.iter().map(Option::as_ref)).collect();
        let merged = merge(&inputs).unwrap();
        let kept: Vec<Option<String>> = parts
            .iter()
            .zip(&live)
            .flat_map(|((texts, _), live)| {
                let keep = |row: u32| live.as_ref().is_none_or(|live| live.contains(row));
                (0..).zip(texts).filter(move |(row, _)| keep(*row)).map(|(_, text)| text.clone())
            })
            .collect();
        prop_assert_eq!(merged.rows() as usize, kept.len());
        let whole = segment(&kept);
        prop_assert_eq!(merged.words(), whole.words());
        prop_assert_eq!(merged.nulls(), whole.nulls());
        let again = Segment::from_bytes(merged.bytes().to_vec()).unwrap();
        for query in queries {
            let query = parse(&query);
            let found: Vec<u32> = matching(&again, &query).unwrap().iter().collect();
            prop_assert_eq!(found, by_definition(&kept, &query), "{:?}", query);
        }
    }
}

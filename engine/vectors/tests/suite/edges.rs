//! The ends of what may be asked.

use std::ops::ControlFlow;

use latentdb_vectors::{BuildOptions, Error, Metric, Progress, SearchOptions, Segment, SegmentBuilder};

use crate::data::{Case, METRICS, Random, clustered};

fn graph() -> BuildOptions {
    BuildOptions { graph_from: 2, ..BuildOptions::default() }
}

#[test]
fn an_empty_segment_answers_nothing() {
    let case = Case::new(Metric::L2, Vec::new(), graph());
    assert!(case.segment.is_empty());
    assert!(case.segment.search(&[1.0, 2.0, 3.0], 5, &SearchOptions::default()).unwrap().is_empty());
    assert!(case.segment.exact(&[1.0, 2.0, 3.0], 5, None).unwrap().is_empty());
}

#[test]
fn any_number_may_be_asked_for() {
    for count in [1, 2, 3, 50, 4000] {
        let case = Case::new(Metric::L2, clustered(count, 10, 5, &mut Random::new(21)), graph());
        for k in [0, 1, 7, count - 1, count, count + 1, usize::MAX] {
            for ef in [None, Some(0), Some(1), Some(100), Some(usize::MAX)] {
                let options = SearchOptions { ef, ..SearchOptions::default() };
                let hits = case.segment.search(&case.vectors[0], k, &options).unwrap();
                assert_eq!(hits.len(), k.min(count), "{count} {k} {ef:?}");
            }
        }
    }
}

#[test]
fn equal_vectors_come_in_the_order_of_rows() {
    let case = Case::new(Metric::L2, vec![vec![1.0, 2.0]; 300], BuildOptions::default());
    let hits = case.segment.search(&[1.0, 2.0], 5, &SearchOptions::default()).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [0, 2, 3, 5, 6]);
    let linked = Case::new(Metric::L2, vec![vec![1.0, 2.0]; 3000], graph());
    assert_eq!(linked.segment.search(&[1.0, 2.0], 5, &SearchOptions::default()).unwrap().len(), 5);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    for metric in METRICS {
        let case = Case::new(metric, clustered(20, 3, 2, &mut Random::new(22)), graph());
        let search = |query: &[f32]| case.segment.search(query, 0, &SearchOptions::default());
        assert!(matches!(search(&[1.0]), Err(Error::Dimension { expected: 3, found: 1 })));
        assert!(matches!(search(&[1.0, f32::NAN, 0.0]), Err(Error::NotFinite { component: 1 })));
        assert!(matches!(search(&[f32::NEG_INFINITY, 0.0, 0.0]), Err(Error::NotFinite { component: 0 })));
        assert_eq!(search(&[0.0; 3]).is_err(), metric == Metric::Cosine);
        let mut builder = SegmentBuilder::new(2, metric, graph()).unwrap();
        assert!(builder.push(0, &[f32::NAN, 1.0]).is_err());
        assert!(builder.push(0, &[1.0]).is_err());
        assert_eq!(builder.push(0, &[0.0, 0.0]).is_err(), metric == Metric::Cosine);
        assert_eq!(builder.push(1, &[3e38, 3e38]).is_err(), metric != Metric::Cosine);
        builder.push(5, &[1.0, 1.0]).unwrap();
        assert!(matches!(builder.push(5, &[1.0, 1.0]), Err(Error::RowOrder { previous: 5, row: 5 })));
        assert!(matches!(builder.push(4, &[1.0, 1.0]), Err(Error::RowOrder { .. })));
    }
    let bad = |dim, options| SegmentBuilder::new(dim, Metric::L2, options).is_err();
    assert!(bad(0, graph()) && bad(70_000, graph()) && bad(2, BuildOptions { links: 1, ..graph() }));
    assert!(bad(2, BuildOptions { effort: 0, ..graph() }) && !bad(65_536, graph()));
}

#[test]
fn a_build_tells_its_progress_and_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.segment");
    let build = |progress: &mut dyn FnMut(Progress) -> ControlFlow<()>| {
        let mut builder = SegmentBuilder::new(8, Metric::L2, graph()).unwrap();
        let vectors = clustered(500, 8, 5, &mut Random::new(23));
        vectors.iter().zip(0..).for_each(|(vector, row)| builder.push(row, vector).unwrap());
        builder.write(&path, progress)
    };
    let cancelled =
        build(&mut |progress| if progress.done > 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let mut told = Vec::new();
    build(&mut |progress| {
        told.push(progress.done);
        ControlFlow::Continue(())
    })
    .unwrap();
    // 500 vectors are read sooner than walked through, which shows when some are linked.
    assert!(told.is_sorted() && told.last() >= Some(&60), "{told:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_segment_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.segment");
    assert!(matches!(Segment::open(&path), Err(Error::Io { .. })));
    for bytes in [&b""[..], b"LatentV\n", &[0; 4096]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Segment::open(&path), Err(Error::Damaged { .. })));
    }
    let case = Case::new(Metric::L2, vec![vec![1.0, 2.0]], graph());
    let mut bytes = std::fs::read(&case.path).unwrap();
    bytes[8] = 99;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Segment::open(&path), Err(Error::Version { found: 99, .. })));
    let nowhere = SegmentBuilder::new(2, Metric::L2, graph()).unwrap();
    assert!(nowhere.write(&folder.path().join("none/test.segment"), |_| ControlFlow::Continue(())).is_err());
}

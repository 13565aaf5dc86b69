//! Filters: only allowed rows, and enough of them.

use latentdb_vectors::{BuildOptions, Metric, RowFilter, SearchOptions};
use proptest::prelude::*;

use crate::data::{Case, Random, clustered, overlap};

fn case() -> Case {
    let options = BuildOptions { graph_from: 100, ..BuildOptions::default() };
    Case::new(Metric::L2, clustered(12_000, 12, 40, &mut Random::new(11)), options)
}

#[test]
fn answers_are_allowed_whatever_is_allowed() {
    let case = case();
    assert!(case.segment.facts().ef.is_some());
    let random = &mut Random::new(12);
    for permille in [0, 1, 5, 20, 100, 300, 499, 510, 700, 990, 1000] {
        let filter: RowFilter = (0..18_000).filter(|_| random.below(1000) < permille).collect();
        let options = SearchOptions { filter: Some(&filter), ..SearchOptions::default() };
        let (mut found, mut expected) = (0, 0);
        for query in case.vectors.iter().step_by(500) {
            let hits = case.segment.search(query, 10, &options).unwrap();
            assert!(hits.iter().all(|hit| filter.contains(hit.row)), "{permille}");
            let nearest = case.nearest(query, 10, Some(&filter));
            assert_eq!(hits.len(), nearest.len(), "{permille}");
            found += overlap(&hits, &nearest);
            expected += nearest.len();
        }
        assert!(found as f64 >= 0.95 * f64::from(expected as u32), "{permille}: {found} of {expected}");
    }
}

/// Nothing near the query is allowed. Which of the many that are nearly as far come first is a matter of luck; that they are
/// about as near as the nearest is not.
#[test]
fn a_filter_that_fits_nothing_near_the_query_is_followed_far() {
    let case = case();
    let query = &case.vectors[0];
    let far: RowFilter = case.nearest(query, 12_000, None).iter().skip(6_500).map(|hit| hit.row).collect();
    let options = SearchOptions { filter: Some(&far), ..SearchOptions::default() };
    let hits = case.segment.search(query, 10, &options).unwrap();
    let nearest = case.nearest(query, 10, Some(&far));
    assert!(hits.len() == 10 && hits.iter().all(|hit| far.contains(hit.row)));
    assert!(hits[9].distance < nearest[9].distance * 1.02, "{hits:?} {nearest:?}");
}

#[test]
fn rows_that_are_not_there_do_no_harm() {
    let case = case();
    let filter: RowFilter = (0..18_000).filter(|row| row % 3 == 1).chain([5, 100_000]).collect();
    let options = SearchOptions { filter: Some(&filter), ..SearchOptions::default() };
    let hits = case.segment.search(&case.vectors[7], 10, &options).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [5]);
    assert_eq!(case.segment.exact(&case.vectors[7], 10, Some(&filter)).unwrap(), hits);
}

proptest! {
    #[test]
    fn a_set_of_rows_is_a_set(rows in prop::collection::btree_set(0u32..5000, 0..200)) {
        let filter: RowFilter = rows.iter().copied().collect();
        prop_assert_eq!(filter.len(), rows.len());
        prop_assert!(filter.rows().eq(rows.iter().copied()));
        prop_assert!((0..5000).all(|row| filter.contains(row) == rows.contains(&row)));
    }
}

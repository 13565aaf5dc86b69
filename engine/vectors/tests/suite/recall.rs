//! What is found, of what should be.

use std::ops::ControlFlow;

use latentdb_vectors::{BuildOptions, Metric, RowFilter, SearchOptions, SegmentBuilder};

use crate::data::{Case, METRICS, Random, clustered, distance, overlap};

const K: usize = 10;

/// Part of the `K` nearest that searches find with their defaults.
fn recall(case: &Case, queries: &[Vec<f32>], filter: Option<&RowFilter>) -> f64 {
    let options = SearchOptions { filter, ..SearchOptions::default() };
    let (mut found, mut expected) = (0, 0);
    for query in queries {
        let nearest = case.nearest(query, K, filter);
        found += overlap(&case.segment.search(query, K, &options).unwrap(), &nearest);
        expected += nearest.len();
    }
    found as f64 / expected as f64
}

fn graph() -> BuildOptions {
    BuildOptions { graph_from: 1000, ..BuildOptions::default() }
}

#[test]
fn searches_find_95_percent_through_a_graph() {
    for metric in [Metric::L2, Metric::Cosine] {
        let random = &mut Random::new(1);
        let mut vectors = clustered(10_000, 48, 100, random);
        let queries = vectors.split_off(9_900);
        let case = Case::new(metric, vectors, graph());
        assert!(case.segment.facts().ef.is_some(), "{metric:?} has no graph: {:?}", case.segment.facts());
        let reached = recall(&case, &queries, None);
        assert!(reached >= 0.95, "{metric:?}: {reached}");
        for percent in [1, 10, 50, 90] {
            let filter: RowFilter = (0..20_000).filter(|_| random.below(100) < percent).collect();
            let reached = recall(&case, &queries, Some(&filter));
            assert!(reached >= 0.95, "{metric:?} with {percent} %: {reached}");
        }
    }
}

#[test]
fn searches_find_95_percent_where_no_graph_helps() {
    for metric in METRICS {
        let random = &mut Random::new(2);
        let case = Case::new(metric, (0..5_000).map(|_| random.vector(256)).collect(), graph());
        let queries: Vec<Vec<f32>> = (0..50).map(|_| random.vector(256)).collect();
        let reached = recall(&case, &queries, None);
        assert!(reached >= 0.95, "{metric:?}: {reached}");
    }
}

#[test]
fn vectors_with_one_large_common_component_are_told_apart() {
    let random = &mut Random::new(3);
    let mut vectors = clustered(3_000, 64, 30, random);
    vectors.iter_mut().for_each(|vector| vector[5] += 500.0);
    let queries = vectors.split_off(2_950);
    let case = Case::new(Metric::L2, vectors, BuildOptions::default());
    assert!(recall(&case, &queries, None) >= 0.98);
}

#[test]
fn rows_in_the_order_of_their_clusters_are_found_as_well() {
    let random = &mut Random::new(4);
    let mut vectors = clustered(6_000, 32, 60, random);
    let queries = vectors.split_off(5_900);
    vectors.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let case = Case::new(Metric::L2, vectors, graph());
    assert!(recall(&case, &queries, None) >= 0.95);
}

#[test]
fn exact_answers_are_those_of_f64() {
    for metric in METRICS {
        let random = &mut Random::new(5);
        let case = Case::new(metric, clustered(2_000, 40, 20, random), BuildOptions::default());
        for query in clustered(20, 40, 20, random) {
            let (found, nearest) = (case.segment.exact(&query, K, None).unwrap(), case.nearest(&query, K, None));
            assert!(overlap(&found, &nearest) >= K - 1, "{metric:?}");
            for hit in &found {
                let at = case.rows.binary_search(&hit.row).unwrap();
                let expected = distance(metric, &query, &case.vectors[at]);
                assert!((f64::from(hit.distance) - expected).abs() < 3e-3, "{metric:?}: {hit:?} {expected}");
            }
            assert!(found.is_sorted_by(|a, b| (a.distance, a.row) < (b.distance, b.row)));
        }
    }
}

#[test]
fn a_vector_of_the_segment_is_its_own_nearest() {
    for metric in [Metric::L2, Metric::Cosine] {
        let case = Case::new(metric, clustered(4_000, 48, 40, &mut Random::new(6)), graph());
        for at in (0..4_000).step_by(97) {
            let hit = case.segment.search(&case.vectors[at], 1, &SearchOptions::default()).unwrap()[0];
            assert_eq!(hit.row, case.rows[at], "{metric:?}");
            assert!(hit.distance < 2e-3, "{metric:?}: {hit:?}");
        }
    }
}

#[test]
fn the_file_does_not_depend_on_the_number_of_threads() {
    let vectors = clustered(2_000, 16, 20, &mut Random::new(7));
    let folder = tempfile::tempdir().unwrap();
    let file = |threads: usize| {
        let path = folder.path().join(threads.to_string());
        let mut builder = SegmentBuilder::new(16, Metric::L2, graph()).unwrap();
        vectors.iter().zip(0..).for_each(|(vector, row)| builder.push(row, vector).unwrap());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| builder.write(&path, |_| ControlFlow::Continue(()))).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(file(1) == file(3));
}

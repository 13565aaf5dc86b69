//! `generate_dashboards` beside SAEDashboard 0.8, on the same model, sources and token ids (golden/dashboards.py).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::record_batch::RecordBatch;
use serde::Deserialize;

use crate::golden::{EXPECTED, Tiny, assert_within, folder, numbers, quoted, real_lists, reals};

#[derive(Debug, Deserialize)]
struct Golden {
    /// `[prompt][position]`
    tokens: Vec<Vec<u32>>,
    /// By source; the first features of each.
    sources: BTreeMap<String, Vec<Feature>>,
}

#[derive(Debug, Deserialize)]
struct Feature {
    density: f32,
    activations: Histogram,
    logits: Histogram,
    top_logits: Vec<f32>,
    bottom_logits: Vec<f32>,
    /// From the highest to the lowest.
    intervals: Vec<Interval>,
    /// Prompt, position and activation of the largest activations.
    strongest: Vec<(i64, i64, f32)>,
}

#[derive(Debug, Deserialize)]
struct Histogram {
    counts: Vec<f32>,
    centres: Vec<f32>,
}

#[derive(Debug, Deserialize)]
struct Interval {
    low: f32,
    high: f32,
    fraction: f32,
}

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
    let text = std::fs::read_to_string(folder().join("dashboards.json")).expect("the golden file is there");
    serde_json::from_str(&text).expect("the golden file is JSON")
});

/// A database with the dashboards of the golden file's sources, from its corpus.
async fn generated() -> Tiny {
    let tiny = Tiny::open().await;
    let lists: Vec<String> = GOLDEN.tokens.iter().map(|tokens| format!("({tokens:?}::int[])")).collect();
    let lists = lists.join(", ").replace("([", "(ARRAY[");
    let corpus = format!("SELECT tokens FROM (VALUES {lists}) AS d(tokens)");
    let sources: Vec<&str> = GOLDEN.sources.keys().map(String::as_str).collect();
    let made = tiny
        .rows(&format!(
            "CALL generate_dashboards('tiny', '{}', {}, context_length => {}, packing => 'full', prepend_bos => true)",
            sources.join(","),
            quoted(&corpus),
            GOLDEN.tokens[0].len(),
        ))
        .await;
    assert_eq!(numbers(&made, "prompts"), vec![GOLDEN.tokens.len() as i64; sources.len()]);
    tiny
}

async fn features(tiny: &Tiny, source: &str, count: usize) -> RecordBatch {
    let sql = format!("SELECT * FROM features WHERE source_id = '{source}' AND index < {count} ORDER BY index");
    tiny.rows(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn densities_and_histograms_are_saedashboards() {
    let tiny = generated().await;
    for (source, expected) in &GOLDEN.sources {
        let found = features(&tiny, source, expected.len()).await;
        let densities: Vec<f32> = expected.iter().map(|feature| feature.density).collect();
        // The peer says them in percent, with three places.
        assert_within(&reals(&found, "density"), &densities, 0.6e-5, source);
        let (counts, centres) = (real_lists(&found, "act_hist_counts"), real_lists(&found, "act_hist_edges"));
        for (index, feature) in expected.iter().enumerate() {
            let what = format!("{source}/{index}");
            assert_within(&centres[index], &feature.activations.centres, 1e-4, &what);
            assert_moved(&counts[index], &feature.activations.counts, &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logits_are_saedashboards() {
    let tiny = generated().await;
    for (source, expected) in &GOLDEN.sources {
        let found = features(&tiny, source, expected.len()).await;
        let (top, bottom) = (real_lists(&found, "top_logits"), real_lists(&found, "bottom_logits"));
        let (counts, centres) = (real_lists(&found, "logit_hist_counts"), real_lists(&found, "logit_hist_edges"));
        for (index, feature) in expected.iter().enumerate() {
            let what = format!("{source}/{index}");
            assert_within(&top[index], &feature.top_logits, 1e-4, &what);
            assert_within(&bottom[index], &feature.bottom_logits, 1e-4, &what);
            assert_within(&centres[index], &feature.logits.centres, 1e-4, &what);
            assert_moved(&counts[index], &feature.logits.counts, &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_and_strongest_prompts_are_saedashboards() {
    let tiny = generated().await;
    for (source, expected) in &GOLDEN.sources {
        let found = tiny
            .rows(&format!(
                "SELECT a.index, a.bin_min, a.bin_max, a.bin_fraction, a.max_value, a.max_position, c.document \
                 FROM activations a JOIN contexts c USING (context_id) WHERE a.source_id = '{source}' ORDER BY a.index, a.rank"
            ))
            .await;
        let (index, document) = (numbers(&found, "index"), numbers(&found, "document"));
        let (low, high) = (reals(&found, "bin_min"), reals(&found, "bin_max"));
        let (fraction, most) = (reals(&found, "bin_fraction"), reals(&found, "max_value"));
        for (number, feature) in expected.iter().enumerate() {
            let own: Vec<usize> = (0..index.len()).filter(|row| index[*row] == number as i64).collect();
            for row in own.iter().filter(|row| low[**row] >= 0.0) {
                let near = |interval: &&Interval| (interval.high - high[*row]).abs() < 1e-3;
                let interval = feature.intervals.iter().find(near).expect("an interval of that name");
                assert_within(&[low[*row]], &[interval.low], 1e-3, source);
                assert_within(&[fraction[*row]], &[interval.fraction], 0.6e-5, source);
            }
            let top: Vec<(i64, f32)> =
                own.iter().filter(|row| low[**row] < 0.0).map(|row| (document[*row], most[*row])).collect();
            assert_strongest(&top, &feature.strongest, &format!("{source}/{number}"));
        }
    }
}

/// The peer lists a prompt once for each of its large activations; here it is listed once. Of prompts that are equally strong,
/// either may be left out.
fn assert_strongest(found: &[(i64, f32)], expected: &[(i64, i64, f32)], what: &str) {
    let mut prompts: Vec<(i64, f32)> = Vec::new();
    for (prompt, _, act) in expected {
        if prompts.iter().all(|(known, _)| known != prompt) {
            prompts.push((*prompt, *act));
        }
    }
    assert!(found.len() >= prompts.len(), "{what}: {} prompts, expected {}", found.len(), prompts.len());
    let values = |prompts: &[(i64, f32)]| prompts.iter().map(|(_, act)| *act).collect::<Vec<_>>();
    assert_within(&values(&found[..prompts.len()]), &values(&prompts), 2e-4, what);
    let least = prompts.last().map_or(0.0, |(_, act)| *act);
    for (prompt, act) in prompts.iter().filter(|(_, act)| *act > least + 1e-3) {
        assert!(found.iter().any(|(other, _)| other == prompt), "{what}: prompt {prompt} with {act} is missing");
    }
}

/// Rounding may move what lies on an edge to the next bar, and no more than that.
fn assert_moved(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    assert_eq!(found.iter().sum::<f32>(), expected.iter().sum::<f32>(), "{what}");
    let moved: f32 = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).sum();
    assert!(moved <= 2.0 + 0.01 * expected.iter().sum::<f32>(), "{what}: {moved} lie elsewhere");
}

#[test]
fn the_golden_files_are_of_one_vocabulary() {
    let known = EXPECTED.iter().flat_map(|prompt| &prompt.ids).max();
    let used = GOLDEN.tokens.iter().flatten().max();
    assert!(known.is_some() && used < Some(&320));
}

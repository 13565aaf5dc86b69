//! Reports as rows of `evals`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Engine, Result, text_literal};
use latentdb_runtime::eval::Report;
use serde_json::{Value, json};

use crate::arguments::internal;
use crate::tables::of_source;

/// The metric whose details have the histogram of densities.
const OF_DENSITIES: &str = "frac_alive";
/// Bars of it, between a density of 1e-10 and 1.
const BARS: usize = 50;

/// The metrics that are numbers.
pub(super) fn defined(report: &Report) -> Vec<(&'static str, f64)> {
    report.metrics().into_iter().filter(|(_, value)| value.is_finite()).collect()
}

/// Puts the reports into the table, in one commit, in the place of the same metrics of the same sources.
pub(super) async fn replace(
    engine: &Engine,
    model: &str,
    reports: &[(String, Report)],
    settings: &Value,
) -> Result<()> {
    let mut load = Box::pin(engine.load()).await?;
    for (source, report) in reports {
        let metrics = defined(report);
        let names: Vec<String> = report.metrics().iter().map(|(name, _)| text_literal(name)).collect();
        let place = of_source(model, source);
        load.delete("evals", &format!("{place} AND metric IN ({})", names.join(", ")));
        let written = load.write("evals", vec![rows(model, source, report, &metrics, settings)?]).await?;
        written.into_iter().for_each(|file| load.add(file));
    }
    Box::pin(load.commit(&format!("eval sources of {model}"))).await?;
    Ok(())
}

fn rows(
    model: &str,
    source: &str,
    report: &Report,
    metrics: &[(&'static str, f64)],
    settings: &Value,
) -> Result<RecordBatch> {
    let count = metrics.len();
    let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))) as ArrayRef;
    let details = metrics.iter().map(|(name, _)| {
        let mut details = settings.clone();
        if *name == OF_DENSITIES
            && let Some(details) = details.as_object_mut()
        {
            details.insert("log10_density_histogram".to_owned(), density_histogram(&report.densities()));
        }
        details.to_string()
    });
    let tokens = i64::try_from(report.tokens()).map_err(internal)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(internal)?;
    let now = i64::try_from(now.as_micros()).map_err(internal)?;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("model_id", same(model)),
        ("source_id", same(source)),
        ("metric", Arc::new(StringArray::from_iter_values(metrics.iter().map(|(name, _)| name)))),
        ("value", Arc::new(Float64Array::from_iter_values(metrics.iter().map(|(_, value)| *value)))),
        ("details", Arc::new(StringArray::from_iter_values(details))),
        ("n_tokens", Arc::new(Int64Array::from_value(tokens, count))),
        ("created_at", Arc::new(TimestampMicrosecondArray::from_value(now, count).with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter(columns).map_err(internal)
}

/// How many features have which density, over powers of ten; dead features are told apart.
fn density_histogram(densities: &[f64]) -> Value {
    let lowest = -10.0;
    let mut counts = vec![0u64; BARS];
    for density in densities.iter().filter(|density| **density > 0.0) {
        let place = (density.log10() - lowest) / -lowest * BARS as f64;
        if let Some(count) = counts.get_mut((place.max(0.0) as usize).min(BARS - 1)) {
            *count += 1;
        }
    }
    let edges: Vec<f64> = (0..=BARS).map(|edge| lowest * (1.0 - edge as f64 / BARS as f64)).collect();
    let dead = densities.iter().filter(|density| **density == 0.0).count();
    json!({ "edges": edges, "counts": counts, "dead": dead })
}

#[cfg(test)]
mod tests {
    use super::density_histogram;

    #[test]
    fn densities_lie_at_their_powers_of_ten() {
        let found = density_histogram(&[0.0, 1e-12, 0.5, 1.0, 0.01]);
        assert_eq!(found["dead"], 1);
        let counts: Vec<u64> =
            found["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
        assert_eq!((counts[0], counts[40], counts[48] + counts[49], counts.iter().sum::<u64>()), (1, 1, 2, 4));
        assert_eq!((&found["edges"][0], &found["edges"][50]), (&(-10.0).into(), &(-0.0).into()));
    }
}

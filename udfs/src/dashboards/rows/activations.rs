//! Rows of `activations`.

use std::sync::Arc;

use arrow::array::{Float32Builder, Int32Builder, Int64Builder, ListBuilder, StringArray};
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;

use super::{Column, Dashboard, SourceName, batch};

/// Rows of `activations`. `contexts` has the id of each prompt's context.
pub(in crate::dashboards) fn activations(
    name: &SourceName,
    dashboards: &[Dashboard],
    contexts: &[i64],
) -> Result<RecordBatch> {
    let ints = Int32Builder::new;
    let (mut index, mut rank, mut context) = (ints(), ints(), Int64Builder::new());
    let (mut positions, mut acts) = (ListBuilder::new(ints()), ListBuilder::new(Float32Builder::new()));
    let (mut max, mut max_position, mut min) = (Float32Builder::new(), ints(), Float32Builder::new());
    let (mut low, mut high, mut fraction) = (Float32Builder::new(), Float32Builder::new(), Float32Builder::new());
    let mut qualifying = ints();
    let (mut given, mut target) = (ListBuilder::new(Float32Builder::new()), ints());
    let mut most_given = Float32Builder::new();
    let mut rows = 0;
    for dashboard in dashboards {
        for (number, (place, example)) in (0i32..).zip(dashboard.activity.examples.iter().enumerate()) {
            let Some(id) = contexts.get(example.prompt as usize) else { continue };
            rows += 1;
            index.append_value(dashboard.index as i32);
            rank.append_value(number);
            context.append_value(*id);
            example.positions.iter().for_each(|position| positions.values().append_value(*position as i32));
            positions.append(true);
            acts.values().append_slice(&example.acts);
            acts.append(true);
            max.append_value(example.max);
            max_position.append_value(example.max_position as i32);
            min.append_value(0.0);
            // As in Neuronpedia's exports: -1 stands for what has no interval.
            low.append_value(example.interval.map_or(-1.0, |interval| interval.low));
            high.append_value(example.interval.map_or(dashboard.activity.max, |interval| interval.high));
            fraction.append_value(example.interval.map_or(-1.0, |interval| interval.fraction as f32));
            qualifying.append_value(example.qualifying_position as i32);
            let attribution = dashboard.attributions.get(place).filter(|values| !values.is_empty());
            given.values().append_slice(attribution.map(Vec::as_slice).unwrap_or_default());
            given.append(attribution.is_some());
            target.append_option(attribution.map(|_| example.max_position as i32));
            most_given.append_option(attribution.map(|values| values.iter().copied().fold(f32::MIN, f32::max)));
        }
    }
    let columns: Vec<Column> = vec![
        ("index", Arc::new(index.finish())),
        ("rank", Arc::new(rank.finish())),
        ("context_id", Arc::new(context.finish())),
        ("positions", Arc::new(positions.finish())),
        ("acts", Arc::new(acts.finish())),
        ("max_value", Arc::new(max.finish())),
        ("max_position", Arc::new(max_position.finish())),
        ("min_value", Arc::new(min.finish())),
        ("bin_min", Arc::new(low.finish())),
        ("bin_max", Arc::new(high.finish())),
        ("bin_fraction", Arc::new(fraction.finish())),
        ("qualifying_position", Arc::new(qualifying.finish())),
        ("dfa_values", Arc::new(given.finish())),
        ("dfa_target", Arc::new(target.finish())),
        ("dfa_max", Arc::new(most_given.finish())),
        ("origin", Arc::new(StringArray::from_iter_values(std::iter::repeat_n("generate_dashboards", rows)))),
    ];
    batch(name.columns(rows).into_iter().chain(columns))
}

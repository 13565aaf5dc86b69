//! Rows of `features`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Builder, Float64Builder, Int32Builder, ListBuilder, StringArray, StringBuilder,
};
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;
use latentdb_runtime::dashboard::{Correlated, Histogram};
use latentdb_runtime::model::Model;

use super::{Column, Dashboard, SourceName, batch};

/// Rows of `features`.
pub(in crate::dashboards) fn features(
    name: &SourceName,
    model: &Model,
    dashboards: &[Dashboard],
) -> Result<RecordBatch> {
    let mut index = Int32Builder::new();
    let mut density = Float64Builder::new();
    let (mut max, mut norm) = (Float32Builder::new(), Float32Builder::new());
    let (mut acts, mut logits) = (Bars::default(), Bars::default());
    let (mut top, mut bottom) = (Tokens::default(), Tokens::default());
    let (mut nearest, mut aligned, mut heads) = (Nearest::default(), Ranked::default(), reals());
    let (mut components, mut others) = (Ranked::default(), Ranked::default());
    for dashboard in dashboards {
        index.append_value(dashboard.index as i32);
        density.append_value(dashboard.activity.density);
        max.append_value(dashboard.activity.max);
        norm.append_option(dashboard.decoder_norm);
        acts.append(Some(&dashboard.activity.histogram));
        logits.append(dashboard.logits.as_ref().map(|logits| &logits.histogram));
        top.append(model, dashboard.logits.as_ref().map(|logits| logits.top.as_slice()));
        bottom.append(model, dashboard.logits.as_ref().map(|logits| logits.bottom.as_slice()));
        nearest.append(name, dashboard);
        let alignment = dashboard.alignment.as_ref();
        aligned.append(alignment.map(|all| all.iter().map(|one| (one.component, one.weight, one.share))));
        let correlations = dashboard.correlations.as_ref();
        components.append(correlations.map(|all| all.components.iter().map(of_correlated)));
        others.append(correlations.map(|all| all.features.iter().map(of_correlated)));
        heads.values().append_slice(dashboard.head_shares.as_deref().unwrap_or_default());
        heads.append(dashboard.head_shares.is_some());
    }
    let mut columns: Vec<Column> = vec![
        ("index", Arc::new(index.finish())),
        ("density", Arc::new(density.finish())),
        ("max_activation", Arc::new(max.finish())),
        ("act_hist_edges", Arc::new(acts.centres.finish())),
        ("act_hist_counts", Arc::new(acts.counts.finish())),
        ("logit_hist_edges", Arc::new(logits.centres.finish())),
        ("logit_hist_counts", Arc::new(logits.counts.finish())),
        ("top_logit_tokens", Arc::new(top.texts.finish())),
        ("top_logits", Arc::new(top.values.finish())),
        ("bottom_logit_tokens", Arc::new(bottom.texts.finish())),
        ("bottom_logits", Arc::new(bottom.values.finish())),
        ("decoder_weights_dist", Arc::new(heads.finish())),
        ("decoder_norm", Arc::new(norm.finish())),
    ];
    columns.extend(nearest.finish());
    columns.extend(aligned.finish(["neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1"]));
    let of = ["correlated_neuron_indices", "correlated_neuron_pearson", "correlated_neuron_l1"];
    columns.extend(components.finish(of));
    let of = ["correlated_feature_indices", "correlated_feature_pearson", "correlated_feature_l1"];
    columns.extend(others.finish(of));
    columns.extend(vector_columns(name, dashboards.len()));
    batch(name.columns(dashboards.len()).into_iter().chain(columns))
}

fn reals() -> ListBuilder<Float32Builder> {
    ListBuilder::new(Float32Builder::new())
}

fn of_correlated(correlated: &Correlated) -> (u32, f32, f32) {
    (correlated.index, correlated.pearson, correlated.cosine)
}

/// What the rows of a vector say of it.
fn vector_columns(name: &SourceName, rows: usize) -> Vec<Column> {
    let Some(vector) = &name.vector else { return Vec::new() };
    let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
    let mut components = reals();
    for _ in 0..rows {
        components.values().append_slice(&vector.components);
        components.append(true);
    }
    vec![
        ("has_vector", Arc::new(BooleanArray::from(vec![true; rows]))),
        ("vector", Arc::new(components.finish())),
        ("vector_label", text(vector.label.as_deref())),
        ("hook_point", text(Some(&vector.point.to_string()))),
    ]
}

/// The nearest features, those of the source itself first. Their sources are named if there are others.
#[derive(Default)]
struct Nearest {
    indices: ListBuilder<Int32Builder>,
    cosines: ListBuilder<Float32Builder>,
    sources: ListBuilder<StringBuilder>,
}

impl Nearest {
    fn append(&mut self, name: &SourceName, dashboard: &Dashboard) {
        let other = name.other.as_deref().unwrap_or_default();
        let own = dashboard.nearest.iter().map(|entry| (name.source.as_str(), entry));
        let all = own.chain(dashboard.nearest_elsewhere.iter().map(|entry| (other, entry)));
        for (source, (index, cosine)) in all {
            self.indices.values().append_value(*index as i32);
            self.cosines.values().append_value(*cosine);
            self.sources.values().append_value(source);
        }
        let has_some = !(dashboard.nearest.is_empty() && dashboard.nearest_elsewhere.is_empty());
        self.indices.append(has_some);
        self.cosines.append(has_some);
        self.sources.append(has_some && name.other.is_some());
    }

    fn finish(mut self) -> [Column; 3] {
        [
            ("nearest_indices", Arc::new(self.indices.finish())),
            ("nearest_cosines", Arc::new(self.cosines.finish())),
            ("nearest_sources", Arc::new(self.sources.finish())),
        ]
    }
}

/// Numbers of something, strongest first, with two values each.
#[derive(Default)]
struct Ranked {
    indices: ListBuilder<Int32Builder>,
    values: ListBuilder<Float32Builder>,
    others: ListBuilder<Float32Builder>,
}

impl Ranked {
    fn append(&mut self, entries: Option<impl Iterator<Item = (u32, f32, f32)>>) {
        let is_known = entries.is_some();
        for (index, value, other) in entries.into_iter().flatten() {
            self.indices.values().append_value(index as i32);
            self.values.values().append_value(value);
            self.others.values().append_value(other);
        }
        self.indices.append(is_known);
        self.values.append(is_known);
        self.others.append(is_known);
    }

    fn finish(mut self, [indices, values, others]: [&'static str; 3]) -> [Column; 3] {
        [
            (indices, Arc::new(self.indices.finish())),
            (values, Arc::new(self.values.finish())),
            (others, Arc::new(self.others.finish())),
        ]
    }
}

#[derive(Default)]
struct Bars {
    centres: ListBuilder<Float32Builder>,
    counts: ListBuilder<Float32Builder>,
}

impl Bars {
    fn append(&mut self, histogram: Option<&Histogram>) {
        let histogram = histogram.filter(|histogram| !histogram.counts.is_empty());
        for (centre, count) in histogram.iter().flat_map(|some| some.centres.iter().zip(&some.counts)) {
            self.centres.values().append_value(*centre);
            self.counts.values().append_value(*count as f32);
        }
        self.centres.append(histogram.is_some());
        self.counts.append(histogram.is_some());
    }
}

#[derive(Default)]
struct Tokens {
    texts: ListBuilder<StringBuilder>,
    values: ListBuilder<Float32Builder>,
}

impl Tokens {
    fn append(&mut self, model: &Model, tokens: Option<&[(u32, f32)]>) {
        let (ids, values): (Vec<u32>, Vec<f32>) = tokens.unwrap_or_default().iter().copied().unzip();
        for (text, value) in model.tokenizer().token_texts(&ids).into_iter().zip(values) {
            self.texts.values().append_value(text);
            self.values.values().append_value(value);
        }
        self.texts.append(tokens.is_some());
        self.values.append(tokens.is_some());
    }
}

//! Dashboards as rows of `features`, `activations` and `contexts`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringArray, StringBuilder,
};
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;
use latentdb_engine::schema::ContextKey;
use latentdb_runtime::dashboard::{Activity, Histogram, LogitWeights};
use latentdb_runtime::model::Model;

use crate::arguments::internal;
use crate::corpus::Prompt;

/// What is known of one feature.
#[derive(Debug)]
pub(super) struct Dashboard {
    pub(super) index: u32,
    pub(super) activity: Activity,
    pub(super) logits: Option<LogitWeights>,
    pub(super) nearest: Vec<(u32, f32)>,
    pub(super) decoder_norm: Option<f32>,
}

type Column = (&'static str, ArrayRef);

/// Model and source of rows.
#[derive(Debug, Clone)]
pub(super) struct SourceName {
    pub(super) model: String,
    pub(super) source: String,
}

impl SourceName {
    fn columns(&self, rows: usize) -> [Column; 2] {
        let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) as ArrayRef;
        [("model_id", same(&self.model)), ("source_id", same(&self.source))]
    }
}

/// Rows of `features`.
pub(super) fn features(name: &SourceName, model: &Model, dashboards: &[Dashboard]) -> Result<RecordBatch> {
    let mut index = Int32Builder::new();
    let mut density = Float64Builder::new();
    let (mut max, mut norm) = (Float32Builder::new(), Float32Builder::new());
    let (mut acts, mut logits) = (Bars::default(), Bars::default());
    let (mut top, mut bottom) = (Tokens::default(), Tokens::default());
    let mut nearest = ListBuilder::new(Int32Builder::new());
    let mut cosines = ListBuilder::new(Float32Builder::new());
    for dashboard in dashboards {
        index.append_value(dashboard.index as i32);
        density.append_value(dashboard.activity.density);
        max.append_value(dashboard.activity.max);
        norm.append_option(dashboard.decoder_norm);
        acts.append(Some(&dashboard.activity.histogram));
        logits.append(dashboard.logits.as_ref().map(|logits| &logits.histogram));
        top.append(model, dashboard.logits.as_ref().map(|logits| logits.top.as_slice()));
        bottom.append(model, dashboard.logits.as_ref().map(|logits| logits.bottom.as_slice()));
        for (other, cosine) in &dashboard.nearest {
            nearest.values().append_value(*other as i32);
            cosines.values().append_value(*cosine);
        }
        nearest.append(!dashboard.nearest.is_empty());
        cosines.append(!dashboard.nearest.is_empty());
    }
    let columns: Vec<Column> = vec![
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
        ("nearest_indices", Arc::new(nearest.finish())),
        ("nearest_cosines", Arc::new(cosines.finish())),
        ("decoder_norm", Arc::new(norm.finish())),
    ];
    batch(name.columns(dashboards.len()).into_iter().chain(columns))
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

/// Rows of `activations`. `contexts` has the id of each prompt's context.
pub(super) fn activations(name: &SourceName, dashboards: &[Dashboard], contexts: &[i64]) -> Result<RecordBatch> {
    let ints = Int32Builder::new;
    let (mut index, mut rank, mut context) = (ints(), ints(), Int64Builder::new());
    let (mut positions, mut acts) = (ListBuilder::new(ints()), ListBuilder::new(Float32Builder::new()));
    let (mut max, mut max_position, mut min) = (Float32Builder::new(), ints(), Float32Builder::new());
    let (mut low, mut high, mut fraction) = (Float32Builder::new(), Float32Builder::new(), Float32Builder::new());
    let mut qualifying = ints();
    let mut rows = 0;
    for dashboard in dashboards {
        for (number, example) in (0i32..).zip(&dashboard.activity.examples) {
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
        ("origin", Arc::new(StringArray::from_iter_values(std::iter::repeat_n("generate_dashboards", rows)))),
    ];
    batch(name.columns(rows).into_iter().chain(columns))
}

/// Ids of the contexts that prompts are.
pub(super) fn context_ids<'a>(
    model_id: &str,
    model: &Model,
    prompts: impl Iterator<Item = &'a Prompt>,
) -> Result<Vec<i64>> {
    let mut key = ContextKey::new(model_id);
    let mut ids = Vec::new();
    for prompt in prompts {
        key.clear();
        for text in model.tokenizer().token_texts(&prompt.tokens) {
            key.push(&text).map_err(internal)?;
        }
        ids.push(key.id());
    }
    Ok(ids)
}

/// Rows of `contexts`.
pub(super) fn contexts(
    model_id: &str,
    model: &Model,
    dataset: &str,
    contexts: &[(i64, &Prompt)],
) -> Result<RecordBatch> {
    let (mut id, mut document) = (Int64Builder::new(), Int64Builder::new());
    let (mut tokens, mut ids) = (ListBuilder::new(StringBuilder::new()), ListBuilder::new(Int32Builder::new()));
    for (context, prompt) in contexts {
        id.append_value(*context);
        document.append_value(prompt.document);
        for text in model.tokenizer().token_texts(&prompt.tokens) {
            tokens.values().append_value(text);
        }
        tokens.append(true);
        prompt.tokens.iter().for_each(|token| ids.values().append_value(*token as i32));
        ids.append(true);
    }
    let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, contexts.len())));
    let columns: Vec<Column> = vec![
        ("context_id", Arc::new(id.finish())),
        ("model_id", same(model_id)),
        ("tokens", Arc::new(tokens.finish())),
        ("token_ids", Arc::new(ids.finish())),
        ("dataset", same(dataset)),
        ("document", Arc::new(document.finish())),
    ];
    batch(columns.into_iter())
}

fn batch(columns: impl Iterator<Item = Column>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).map_err(internal)
}

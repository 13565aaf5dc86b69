//! `activate(model, sources, text, …)`: the features that a prompt makes fire most.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, Int32Builder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Fields};
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::ops::{Activate as Pass, FeatureActivation, RankBy, SourceQuery};

use super::prompts::{InOrder, token_texts, tokens};
use super::{Operation, fold_decoder_norm, ignore_bos, model, prepend_bos, text};
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::rows::{fields, list_of, lists, rows_of};

#[derive(Debug)]
pub(super) struct Activate;

/// The features of one prompt.
struct Answer {
    model: String,
    /// Ids of the sources that were asked.
    sources: Arc<Vec<String>>,
    tokens: Vec<String>,
    features: Vec<FeatureActivation>,
}

fn columns() -> Fields {
    fields(&[
        ("model_id", DataType::Utf8),
        ("source_id", DataType::Utf8),
        ("index", DataType::Int32),
        ("max_value", DataType::Float32),
        ("max_position", DataType::Int32),
        ("sum_value", DataType::Float32),
        ("tokens", list_of(DataType::Utf8)),
        ("acts", list_of(DataType::Float32)),
    ])
}

#[async_trait]
impl Operation for Activate {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: "activate",
            summary: "The features of some sources that a prompt makes fire most",
            parameters: vec![
                model(),
                FunctionParameter::required(
                    "sources",
                    "text",
                    "A source, several with commas between them, or a source set",
                ),
                text(),
                FunctionParameter::optional("top_k", "integer", "25", "How many features, over all the sources"),
                FunctionParameter::optional(
                    "sum_at",
                    "integer[]",
                    "NULL",
                    "Rank by the sum of the activations at these positions, not by the largest",
                ),
                ignore_bos(),
                FunctionParameter::optional(
                    "min_density",
                    "double precision",
                    "NULL",
                    "Leave out features that fire on a smaller share of tokens than this, by the table features",
                ),
                FunctionParameter::optional(
                    "keep_silent",
                    "boolean",
                    "false",
                    "Fill up with features that do not fire",
                ),
                prepend_bos(),
                fold_decoder_norm(),
            ],
            result: rows_of(&columns()),
            gives_rows: true,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut answers = InOrder::new(arguments.rows());
        for rows in arguments.groups("text")? {
            answers.put(&rows, group(models, arguments, &rows).await?);
        }
        encode(answers)
    }
}

/// Answers rows that differ in their text alone.
async fn group(models: &Models, arguments: &Arguments, rows: &[usize]) -> Result<Vec<Answer>> {
    let Some(&first) = rows.first() else { return Ok(Vec::new()) };
    let name = arguments.text("model", first)?;
    let reading = Reading { fold_decoder_norm: arguments.flag("fold_decoder_norm", first)? };
    let worker = models.worker(name).await?;
    let named = models.sources(&worker, name, arguments.text("sources", first)?, reading).await?;
    let mut queries = Vec::with_capacity(named.len());
    for source in &named {
        let allowed = match arguments.number_or_none("min_density", first)? {
            Some(least) => Some(Arc::new(models.dense_features(name, source, least).await?)),
            None => None,
        };
        queries.push(SourceQuery { source: Arc::clone(&source.source), allowed });
    }
    let mut pass = Pass::new(queries, arguments.count("top_k", first)?);
    pass.ignore_bos = arguments.flag("ignore_bos", first)?;
    pass.keep_silent = arguments.flag("keep_silent", first)?;
    if let Some(positions) = arguments.counts_or_none("sum_at", first)? {
        pass.rank_by = RankBy::SumAt(positions);
    }
    let prompts = tokens(worker.model(), arguments, rows)?;
    let texts = token_texts(worker.model(), &prompts);
    let found = worker.run(prompts, pass).await.map_err(from_runtime)?;
    let sources = Arc::new(named.into_iter().map(|source| source.id).collect::<Vec<String>>());
    let answer =
        |(features, tokens)| Answer { model: name.to_owned(), sources: Arc::clone(&sources), tokens, features };
    Ok(found.into_iter().zip(texts).map(answer).collect())
}

fn encode(answers: InOrder<Answer>) -> Result<ArrayRef> {
    let (mut model, mut source, mut index) = (StringBuilder::new(), StringBuilder::new(), Int32Builder::new());
    let (mut max_value, mut max_position) = (Float32Builder::new(), Int32Builder::new());
    let mut sum_value = Float32Builder::new();
    let mut tokens = ListBuilder::new(StringBuilder::new());
    let mut acts = ListBuilder::new(Float32Builder::new());
    let mut lengths = Vec::new();
    for answer in answers.into_answers() {
        let Some(answer) = answer else {
            lengths.push(0);
            continue;
        };
        lengths.push(answer.features.len());
        for feature in &answer.features {
            model.append_value(&answer.model);
            source.append_option(answer.sources.get(feature.source));
            index.append_value(feature.index as i32);
            max_value.append_value(feature.max_value);
            max_position.append_value(feature.max_position as i32);
            sum_value.append_value(feature.sum_value);
            answer.tokens.iter().for_each(|token| tokens.values().append_value(token));
            tokens.append(true);
            acts.values().append_slice(&feature.acts);
            acts.append(true);
        }
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(model.finish()),
        Arc::new(source.finish()),
        Arc::new(index.finish()),
        Arc::new(max_value.finish()),
        Arc::new(max_position.finish()),
        Arc::new(sum_value.finish()),
        Arc::new(tokens.finish()),
        Arc::new(acts.finish()),
    ];
    lists(columns(), arrays, lengths)
}

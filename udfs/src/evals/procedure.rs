//! `CALL eval_source(model, source, corpus, …)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use latentdb_engine::{Engine, Notices, Parameter, Procedure, Result, ScalarValue};

use super::{EvalOptions, Evaluated};
use crate::arguments::internal;
use crate::corpus::Corpus;
use crate::library::WeakModels;
use crate::procedures::{Arguments, attached, corpus_options, corpus_parameters, needed, optional};
use crate::progress::Told;

/// The procedure.
#[derive(Debug)]
pub(crate) struct EvalSource {
    models: WeakModels,
}

impl EvalSource {
    pub(crate) fn new(models: WeakModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Procedure for EvalSource {
    fn name(&self) -> &'static str {
        "eval_source"
    }

    fn description(&self) -> &'static str {
        "Measures how well sources describe their points, by SAEBench's core metrics, into the table evals"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let defaults = EvalOptions::new("", "", Corpus::Statement(String::new()));
        let mut parameters = vec![
            needed("model", "model id, as in the table models"),
            needed("source", "a source, several with commas between them, or a source set"),
        ];
        parameters.extend(corpus_parameters(defaults.corpus.n_prompts));
        parameters.extend([
            optional("mask_special", ScalarValue::from(defaults.mask_special), "whether BOS and EOS are left out"),
            optional(
                "losses",
                ScalarValue::from(defaults.losses),
                "whether to run the model with the reconstruction, and with nothing, in the place of what was there",
            ),
        ]);
        parameters
    }

    fn columns(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("source_id", DataType::Utf8, false),
            Field::new("metric", DataType::Utf8, false),
            Field::new("value", DataType::Float64, false),
            Field::new("n_tokens", DataType::Int64, false),
        ]))
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, notices: &Notices) -> Result<Vec<RecordBatch>> {
        let models = attached(&self.models)?;
        let options = options(&Arguments::new(self, arguments))?;
        let found = Box::pin(models.eval_sources(engine, options, Arc::new(Told::new(notices)))).await?;
        Ok(vec![answer(self.columns(), &found)?])
    }
}

fn options(arguments: &Arguments) -> Result<EvalOptions> {
    let corpus = corpus_options(arguments)?;
    let mut options = EvalOptions::new(&arguments.text("model")?, &arguments.text("source")?, corpus.corpus.clone());
    options.corpus = corpus;
    options.mask_special = arguments.flag_or_none("mask_special")?.unwrap_or(options.mask_special);
    options.losses = arguments.flag_or_none("losses")?.unwrap_or(options.losses);
    Ok(options)
}

fn answer(schema: SchemaRef, found: &[Evaluated]) -> Result<RecordBatch> {
    let each = || found.iter().flat_map(|one| one.metrics.iter().map(move |metric| (one, metric)));
    let columns = vec![
        Arc::new(each().map(|(one, _)| Some(one.source.as_str())).collect::<StringArray>()) as ArrayRef,
        Arc::new(each().map(|(_, (name, _))| Some(*name)).collect::<StringArray>()),
        Arc::new(Float64Array::from_iter_values(each().map(|(_, (_, value))| *value))),
        Arc::new(Int64Array::from_iter_values(each().map(|(one, _)| one.tokens as i64))),
    ];
    RecordBatch::try_new(schema, columns).map_err(internal)
}

//! `CALL generate_dashboards(model, source, corpus, …)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use latentdb_engine::{Engine, Notices, Parameter, Procedure, Result, ScalarValue};

use super::{GenerateOptions, Generated};
use crate::arguments::internal;
use crate::corpus::Corpus;
use crate::library::WeakModels;
use crate::procedures::{Arguments, attached, corpus_options, corpus_parameters, count, needed, optional};
use crate::progress::Told;

/// The procedure.
#[derive(Debug)]
pub(crate) struct GenerateDashboards {
    models: WeakModels,
}

impl GenerateDashboards {
    pub(crate) fn new(models: WeakModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Procedure for GenerateDashboards {
    fn name(&self) -> &'static str {
        "generate_dashboards"
    }

    fn description(&self) -> &'static str {
        "Makes features and their activations from the weights of sources and a corpus"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let defaults = GenerateOptions::new("", "", Corpus::Statement(String::new()));
        let mut parameters = vec![
            needed("model", "model id, as in the table models"),
            needed("source", "a source, several with commas between them, a source set, or vectors/ID"),
        ];
        parameters.extend(corpus_parameters(defaults.corpus.n_prompts));
        parameters.extend([
            optional("mask_special", ScalarValue::from(true), "whether BOS and EOS tokens count as silent"),
            count("top", defaults.activity.top, "prompts with the largest activations that are kept of a feature"),
            count("intervals", defaults.activity.intervals, "intervals that examples are drawn from"),
            count("per_interval", defaults.activity.per_interval, "examples drawn from each interval"),
            count("nearest", defaults.nearest, "nearest features that are kept of a feature"),
            optional("nearest_source", ScalarValue::Utf8(None), "another source whose nearest features are kept too"),
            count("correlated", defaults.correlated, "features and neurons kept that correlate most with a feature"),
            count("seed", 0, "of the draw"),
            optional("dataset", ScalarValue::Utf8(None), "name of the corpus; the statement if there is none"),
        ]);
        parameters
    }

    fn columns(&self) -> SchemaRef {
        let integer = |name: &str| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            Field::new("source_id", DataType::Utf8, false),
            integer("features"),
            integer("alive"),
            integer("activations"),
            integer("prompts"),
            integer("resumed_prompts"),
            integer("tokens"),
            Field::new("seconds", DataType::Float64, false),
        ]))
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, notices: &Notices) -> Result<Vec<RecordBatch>> {
        let models = attached(&self.models)?;
        let options = options(&Arguments::new(self, arguments))?;
        let made = Box::pin(models.generate_dashboards(engine, options, Arc::new(Told::new(notices)))).await?;
        Ok(vec![answer(self.columns(), &made)?])
    }
}

fn options(arguments: &Arguments) -> Result<GenerateOptions> {
    let corpus = corpus_options(arguments)?;
    let mut options =
        GenerateOptions::new(&arguments.text("model")?, &arguments.text("source")?, corpus.corpus.clone());
    options.corpus = corpus;
    options.mask_special = arguments.flag_or_none("mask_special")?.unwrap_or(options.mask_special);
    options.activity.top = arguments.count("top")?;
    options.activity.intervals = arguments.count("intervals")?;
    options.activity.per_interval = arguments.count("per_interval")?;
    options.activity.seed = arguments.count("seed")? as u64;
    options.nearest = arguments.count("nearest")?;
    options.nearest_source = arguments.text_or_none("nearest_source")?;
    options.correlated = arguments.count("correlated")?;
    options.dataset = arguments.text_or_none("dataset")?;
    Ok(options)
}

fn answer(schema: SchemaRef, made: &[Generated]) -> Result<RecordBatch> {
    let count = |of: fn(&Generated) -> u64| {
        Arc::new(Int64Array::from_iter_values(made.iter().map(|one| of(one) as i64))) as ArrayRef
    };
    let columns = vec![
        Arc::new(StringArray::from_iter_values(made.iter().map(|one| &one.source))) as ArrayRef,
        count(|one| one.features),
        count(|one| one.alive),
        count(|one| one.activations),
        count(|one| one.prompts),
        count(|one| one.resumed_prompts),
        count(|one| one.tokens),
        Arc::new(Float64Array::from_iter_values(made.iter().map(|one| one.elapsed.as_secs_f64()))),
    ];
    RecordBatch::try_new(schema, columns).map_err(internal)
}

//! `CALL generate_dashboards(model, source, corpus, …)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use latentdb_engine::{Engine, Error, ErrorKind, Parameter, Procedure, Result, ScalarValue};

use super::{Corpus, GenerateOptions, Generated, Logged};
use crate::arguments::internal;
use crate::library::WeakModels;

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
        vec![
            needed("model", "model id, as in the table models"),
            needed("source", "a source, several with commas between them, or a source set"),
            needed("corpus", "a statement whose first column has texts, or lists of token ids"),
            count("n_prompts", defaults.n_prompts, "prompts at most"),
            optional(
                "context_length",
                ScalarValue::Int64(None),
                "tokens of a prompt at most, BOS included; 128 if the model's context is no shorter",
            ),
            optional(
                "packing",
                ScalarValue::from(defaults.packing.to_string()),
                "how documents become prompts: document (its start), full (only documents that fill the context), or packed \
                 (one after the other)",
            ),
            optional("prepend_bos", ScalarValue::Boolean(None), "whether prompts start with a BOS token"),
            optional("mask_special", ScalarValue::from(true), "whether BOS and EOS tokens count as silent"),
            count("top", defaults.activity.top, "prompts with the largest activations that are kept of a feature"),
            count("intervals", defaults.activity.intervals, "intervals that examples are drawn from"),
            count("per_interval", defaults.activity.per_interval, "examples drawn from each interval"),
            count("nearest", defaults.nearest, "nearest features that are kept of a feature"),
            count("seed", 0, "of the draw"),
            optional("dataset", ScalarValue::Utf8(None), "name of the corpus; the statement if there is none"),
        ]
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

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>) -> Result<Vec<RecordBatch>> {
        let models = self.models.upgrade().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "no models are attached: the database is being closed")
        })?;
        let options = options(&Arguments { procedure: self, values: arguments })?;
        let made = Box::pin(models.generate_dashboards(engine, options, Arc::new(Logged))).await?;
        Ok(vec![answer(self.columns(), &made)?])
    }
}

fn needed(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, data_type: DataType::Utf8, default: None, description }
}

fn optional(name: &'static str, default: ScalarValue, description: &'static str) -> Parameter {
    Parameter { name, data_type: default.data_type(), default: Some(default), description }
}

fn count(name: &'static str, default: usize, description: &'static str) -> Parameter {
    optional(name, ScalarValue::Int64(i64::try_from(default).ok()), description)
}

/// The values of a call, by name.
struct Arguments<'a> {
    procedure: &'a GenerateDashboards,
    values: Vec<ScalarValue>,
}

impl Arguments<'_> {
    fn value(&self, name: &str) -> Result<&ScalarValue> {
        let parameters = self.procedure.parameters();
        let place = parameters.iter().position(|parameter| parameter.name == name);
        place.and_then(|place| self.values.get(place)).ok_or_else(|| internal(format!("no parameter {name}")))
    }

    fn text_or_none(&self, name: &str) -> Result<Option<String>> {
        match self.value(name)? {
            ScalarValue::Utf8(text) => Ok(text.clone()),
            other => Err(internal(format!("{name} is {other}"))),
        }
    }

    fn text(&self, name: &str) -> Result<String> {
        self.text_or_none(name)?.ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("{name} is null")))
    }

    fn flag_or_none(&self, name: &str) -> Result<Option<bool>> {
        match self.value(name)? {
            ScalarValue::Boolean(flag) => Ok(*flag),
            other => Err(internal(format!("{name} is {other}"))),
        }
    }

    fn count(&self, name: &str) -> Result<usize> {
        self.count_or_none(name)?.ok_or_else(|| no_count(name))
    }

    fn count_or_none(&self, name: &str) -> Result<Option<usize>> {
        match self.value(name)? {
            ScalarValue::Int64(count) => {
                count.map(|count| usize::try_from(count).map_err(|_| no_count(name))).transpose()
            }
            other => Err(internal(format!("{name} is {other}"))),
        }
    }
}

fn no_count(name: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("{name} must be a number from 0 on"))
}

fn options(arguments: &Arguments<'_>) -> Result<GenerateOptions> {
    let corpus = Corpus::Statement(arguments.text("corpus")?);
    let mut options = GenerateOptions::new(&arguments.text("model")?, &arguments.text("source")?, corpus);
    options.n_prompts = arguments.count("n_prompts")?;
    options.context_length = arguments.count_or_none("context_length")?;
    options.packing = arguments.text("packing")?.parse()?;
    options.prepend_bos = arguments.flag_or_none("prepend_bos")?;
    options.mask_special = arguments.flag_or_none("mask_special")?.unwrap_or(options.mask_special);
    options.activity.top = arguments.count("top")?;
    options.activity.intervals = arguments.count("intervals")?;
    options.activity.per_interval = arguments.count("per_interval")?;
    options.activity.seed = arguments.count("seed")? as u64;
    options.nearest = arguments.count("nearest")?;
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

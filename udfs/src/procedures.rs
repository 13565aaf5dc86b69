//! What procedures share: parameters, and the values of a call by name.

use std::collections::HashMap;

use latentdb_engine::{Error, ErrorKind, Parameter, Procedure, Result, ScalarValue};

use arrow::datatypes::DataType;

use crate::arguments::internal;
use crate::corpus::{Corpus, CorpusOptions};
use crate::library::{Models, WeakModels};

pub(crate) fn needed(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, data_type: DataType::Utf8, default: None, description }
}

pub(crate) fn optional(name: &'static str, default: ScalarValue, description: &'static str) -> Parameter {
    Parameter { name, data_type: default.data_type(), default: Some(default), description }
}

pub(crate) fn count(name: &'static str, default: usize, description: &'static str) -> Parameter {
    optional(name, ScalarValue::Int64(i64::try_from(default).ok()), description)
}

/// The values of a call, by name.
pub(crate) struct Arguments {
    values: HashMap<&'static str, ScalarValue>,
}

impl Arguments {
    /// The values of a call of `procedure`, in the order of its parameters.
    pub(crate) fn new(procedure: &dyn Procedure, values: Vec<ScalarValue>) -> Self {
        let names = procedure.parameters().into_iter().map(|parameter| parameter.name);
        Self { values: names.zip(values).collect() }
    }

    fn value(&self, name: &str) -> Result<&ScalarValue> {
        self.values.get(name).ok_or_else(|| internal(format!("no parameter {name}")))
    }

    pub(crate) fn text_or_none(&self, name: &str) -> Result<Option<String>> {
        match self.value(name)? {
            ScalarValue::Utf8(text) => Ok(text.clone()),
            other => Err(internal(format!("{name} is {other}"))),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<String> {
        self.text_or_none(name)?.ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("{name} is null")))
    }

    pub(crate) fn flag_or_none(&self, name: &str) -> Result<Option<bool>> {
        match self.value(name)? {
            ScalarValue::Boolean(flag) => Ok(*flag),
            other => Err(internal(format!("{name} is {other}"))),
        }
    }

    pub(crate) fn real(&self, name: &str) -> Result<f64> {
        match self.value(name)? {
            ScalarValue::Float64(Some(real)) => Ok(*real),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("{name} is null"))),
        }
    }

    pub(crate) fn count(&self, name: &str) -> Result<usize> {
        self.count_or_none(name)?.ok_or_else(|| no_count(name))
    }

    pub(crate) fn count_or_none(&self, name: &str) -> Result<Option<usize>> {
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

/// The parameters of a corpus.
pub(crate) fn corpus_parameters(n_prompts: usize) -> Vec<Parameter> {
    let defaults = CorpusOptions::new(Corpus::Statement(String::new()), n_prompts);
    vec![
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
    ]
}

/// Their values.
pub(crate) fn corpus_options(arguments: &Arguments) -> Result<CorpusOptions> {
    let corpus = Corpus::Statement(arguments.text("corpus")?);
    let mut options = CorpusOptions::new(corpus, arguments.count("n_prompts")?);
    options.context_length = arguments.count_or_none("context_length")?;
    options.packing = arguments.text("packing")?.parse()?;
    options.prepend_bos = arguments.flag_or_none("prepend_bos")?;
    Ok(options)
}

/// The models that a procedure works with.
pub(crate) fn attached(models: &WeakModels) -> Result<Models> {
    let gone = || Error::new(ErrorKind::Unsupported, "no models are attached: the database is being closed");
    models.upgrade().ok_or_else(gone)
}

//! What a source's files do not say, by name: given on the command line, kept in the table `sources`.

use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::source::Hints;
use serde_json::{Map, Value};

use crate::failure::from_runtime;

/// Names that have a meaning; any other one replaces a key of the source's own configuration.
const NAMED: &[&str] = &["format", "norm_scaling_factor", "hook_name", "k", "layer", "model_name", "neuronpedia_id"];

/// Hints by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceHints {
    members: Map<String, Value>,
}

impl SourceHints {
    /// Reads `name=value` of each text. A value is JSON, or else a text.
    ///
    /// # Errors
    /// `InvalidValue` for a text that is not of this form.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut members = Map::new();
        for text in texts {
            let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, format!("{text:?} is no hint"))
                    .with_hint("write NAME=VALUE, as in hook_name=blocks.3.hook_resid_post")
            })?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            members.insert(name.to_owned(), value);
        }
        Ok(Self { members })
    }

    /// These hints laid over others.
    #[must_use]
    pub fn over(mut self, others: Map<String, Value>) -> Self {
        for (name, value) in others {
            self.members.entry(name).or_insert(value);
        }
        self
    }

    pub(crate) fn from_json(value: Option<&Value>) -> Self {
        Self { members: value.and_then(Value::as_object).cloned().unwrap_or_default() }
    }

    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// The hints as the runtime takes them.
    pub(crate) fn to_runtime(&self) -> Result<Hints> {
        let mut hints = Hints::default();
        let text = |name: &str| self.members.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = text("format") {
            hints.format = Some(name.parse().map_err(from_runtime)?);
        }
        hints.hook_name = text("hook_name");
        hints.model_name = text("model_name");
        hints.neuronpedia_id = text("neuronpedia_id");
        hints.norm_scaling_factor = self.number("norm_scaling_factor")?;
        hints.k = self.count("k")?;
        hints.layer = self.count("layer")?;
        let others = self.members.iter().filter(|(name, _)| !NAMED.contains(&name.as_str()));
        hints.config_overrides = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(hints)
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        value
            .as_f64()
            .map(Some)
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("the hint {name} is no number: {value}")))
    }

    fn count(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let count = value.as_u64().and_then(|value| usize::try_from(value).ok());
        count
            .map(Some)
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("the hint {name} is no whole number: {value}")))
    }
}

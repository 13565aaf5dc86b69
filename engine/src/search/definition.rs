//! What an index is: of which column, and of which kind.

use std::fmt;

use latentdb_vectors::{BuildOptions, Metric};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// An index of one column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct IndexDefinition {
    /// Name; no two indexes of a database have the same.
    pub name: String,
    /// Table.
    pub table: String,
    /// Column.
    pub column: String,
    /// Kind, with its options.
    #[serde(flatten)]
    pub kind: IndexKind,
}

/// A kind of index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "using", rename_all = "lowercase")]
pub(crate) enum IndexKind {
    /// Words, ranked by BM25.
    Text,
    /// Nearest neighbours.
    Vector(VectorOptions),
}

/// How vectors are compared, and how their graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct VectorOptions {
    /// Distance that the index answers.
    #[serde(with = "metric_name")]
    pub metric: Metric,
    /// Neighbours of a vector in the graph.
    pub m: usize,
    /// Candidates that are looked at when a vector is put into the graph.
    pub ef_construction: usize,
}

impl Default for VectorOptions {
    fn default() -> Self {
        let defaults = BuildOptions::default();
        Self { metric: Metric::Cosine, m: defaults.links, ef_construction: defaults.effort }
    }
}

/// Metrics by their names in `WITH (metric = …)`.
const METRICS: &[(&str, Metric)] =
    &[("cosine", Metric::Cosine), ("l2", Metric::L2), ("inner_product", Metric::InnerProduct)];

/// Name of a metric.
pub(crate) fn metric_name(metric: Metric) -> &'static str {
    METRICS.iter().find(|(_, known)| *known == metric).map_or("unknown", |(name, _)| name)
}

impl VectorOptions {
    /// Sets an option of `WITH (…)`.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let count = |least: usize, most: usize| {
            value.parse().ok().filter(|count| (least..=most).contains(count)).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, format!("{name} cannot be {value}"))
                    .with_hint(format!("it is a number from {least} to {most}"))
            })
        };
        match name {
            "metric" => {
                let found = METRICS.iter().find(|(known, _)| known.eq_ignore_ascii_case(value));
                let names: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
                self.metric = found.map(|(_, metric)| *metric).ok_or_else(|| {
                    Error::new(ErrorKind::InvalidValue, format!("metric cannot be {value}"))
                        .with_hint(format!("there are {}", names.join(", ")))
                })?;
            }
            "m" => self.m = count(2, 128)?,
            "ef_construction" => self.ef_construction = count(8, 4096)?,
            other => {
                return Err(Error::new(ErrorKind::InvalidValue, format!("a vector index has no option {other}"))
                    .with_hint("there are metric, m and ef_construction"));
            }
        }
        Ok(())
    }

    /// Reads pgvector's name of an operator class.
    pub(crate) fn set_operator_class(&mut self, class: &str) -> Result<()> {
        self.metric = match class {
            "vector_cosine_ops" => Metric::Cosine,
            "vector_l2_ops" => Metric::L2,
            "vector_ip_ops" => Metric::InnerProduct,
            other => {
                return Err(Error::new(ErrorKind::UndefinedObject, format!("operator class {other} does not exist"))
                    .with_hint("there are vector_cosine_ops, vector_l2_ops and vector_ip_ops"));
            }
        };
        Ok(())
    }
}

/// As Postgres shows it.
impl fmt::Display for IndexDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, table, column, kind } = self;
        match kind {
            IndexKind::Text => write!(f, "CREATE INDEX {name} ON public.{table} USING text ({column})"),
            IndexKind::Vector(options) => write!(
                f,
                "CREATE INDEX {name} ON public.{table} USING vector ({column}) WITH (metric = '{}', m = {}, ef_construction = {})",
                metric_name(options.metric),
                options.m,
                options.ef_construction
            ),
        }
    }
}

impl IndexKind {
    /// Name of the kind, as after `USING`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Vector(_) => "vector",
        }
    }
}

/// Metrics as names in files.
mod metric_name {
    use latentdb_vectors::Metric;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(metric: &Metric, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(super::metric_name(*metric))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Metric, D::Error> {
        let name = String::deserialize(from)?;
        let found = super::METRICS.iter().find(|(known, _)| *known == name);
        found.map(|(_, metric)| *metric).ok_or_else(|| D::Error::custom(format!("metric {name} is not known")))
    }
}

//! What a job is asked to do.

use latentdb_engine::{Error, ErrorKind, Result};
use serde::Deserialize;
use utoipa::ToSchema;

/// Letters of a title at most.
const TITLE: usize = 120;

/// What is to be done.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(in crate::http) enum JobRequest {
    /// Runs `CALL …` or `CREATE INDEX …`.
    #[schema(title = "StatementJob")]
    Statement {
        #[schema(example = "CALL layout_features('docs-3m', '3-res')")]
        sql: String,
    },
    /// Imports a Neuronpedia export, as `latentdb import neuronpedia` does.
    #[schema(title = "ImportJob")]
    Import {
        /// A directory of the server's machine, or an HTTP(S) listing: one source, a model, or all of v1.
        #[schema(example = "https://neuronpedia-datasets.s3.us-east-1.amazonaws.com/v1/gpt2-small/10-res-jb")]
        from: String,
        /// Replace sources that are in the database already.
        #[serde(default)]
        replace: bool,
    },
    /// Adds a model, as `latentdb model add` does.
    #[schema(title = "ModelJob")]
    Model {
        #[schema(example = "gpt2-small")]
        id: String,
        /// A directory of the server's machine, or `hf:ORG/REPO[@REVISION]`; well-known models need none.
        path: Option<String>,
    },
    /// Adds a source, as `latentdb source add` does.
    #[schema(title = "SourceJob")]
    Source {
        #[schema(example = "gpt2-small")]
        model: String,
        #[schema(example = "10-res-jb")]
        id: String,
        /// A folder or file of the server's machine, `hf:ORG/REPO[@REVISION]/PATH`, or `saelens:RELEASE/ID`; those that
        /// Neuronpedia has need none.
        path: Option<String>,
    },
}

impl JobRequest {
    /// Fails if it asks for something that is no job.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Statement { sql } if !is_long_work(sql) => {
                Err(Error::new(ErrorKind::InvalidValue, "a job runs CALL or CREATE INDEX")
                    .with_hint("send other statements to POST /v1/sql"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Statement { .. } => "statement",
            Self::Import { .. } => "import",
            Self::Model { .. } => "model",
            Self::Source { .. } => "source",
        }
    }

    /// What it does, on one line.
    pub(super) fn title(&self) -> String {
        let whole = match self {
            Self::Statement { sql } => sql.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::Import { from, .. } => format!("Import {from}"),
            Self::Model { id, .. } => format!("Add model {id}"),
            Self::Source { model, id, .. } => format!("Add source {model}/{id}"),
        };
        match whole.char_indices().nth(TITLE) {
            Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or_default()),
            None => whole,
        }
    }
}

fn is_long_work(sql: &str) -> bool {
    let mut words = sql.split_whitespace().map(str::to_ascii_uppercase);
    match words.next().as_deref() {
        Some("CALL") => true,
        Some("CREATE") => words.next().as_deref() == Some("INDEX"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_work_is_a_job() {
        for sql in ["CALL optimize()", "call\nvacuum('t')", "create  index i ON t USING text (x)"] {
            assert!(is_long_work(sql), "{sql}");
        }
        for sql in ["SELECT 1", "CREATE TABLE t (id int)", "COPY t TO 'x.csv'", "", "DROP INDEX i"] {
            assert!(!is_long_work(sql), "{sql}");
        }
    }

    #[test]
    fn titles_are_short_and_on_one_line() {
        let title = JobRequest::Statement { sql: format!("CALL\n  f('{}')", "é".repeat(500)) }.title();
        assert!(title.starts_with("CALL f('é"));
        assert_eq!(title.chars().count(), TITLE + 1);
    }
}

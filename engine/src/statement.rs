//! A parsed statement and a prepared one: what clients hold between parse, bind and execute.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};

use crate::erased::Erased;
use crate::sql::{Cached, Command};

/// One parsed statement, with its text.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) command: Erased<Command>,
    pub(crate) text: Arc<str>,
    /// The string it was read from, in which places are counted.
    pub(crate) source: Arc<str>,
}

impl Statement {
    /// The statement's own text, without its semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A statement that has been planned once: its parameters' types and its result's columns are known.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) statement: Statement,
    pub(crate) plan: Option<Erased<Cached>>,
    pub(crate) parameters: Vec<DataType>,
    pub(crate) schema: Option<SchemaRef>,
}

impl Prepared {
    /// Types of `$1`, `$2`, …
    pub fn parameters(&self) -> &[DataType] {
        &self.parameters
    }

    /// Columns of the result; `None` if the statement gives no rows.
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// The statement this was prepared from.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

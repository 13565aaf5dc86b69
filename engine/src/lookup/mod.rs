//! Look-ups: statements that ask for a few rows by their key, or for the best few rows by words or by distance, answered
//! without building a plan of operators. Such statements make up most of what a web page asks, and planning takes longer
//! than their rows.
//!
//! [`recognize`] reads the optimised logical plan: scans whose filters give the first columns of a sorted
//! table's key, joins of their rows to another table's key, and filters, projections, sorts and limits above; [`best`]
//! knows searches. [`run`] answers, from [`crate::storage`]'s blocks and the indexes of [`crate::search`].
//!
//! What always holds: a look-up gives the rows that the plan would give, in an order that the plan could give.
//! Whatever does not fit goes the way of every other statement, even when that shows only as it runs.

mod best;
mod recognize;
mod run;

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;
use latentdb_vectors::Metric;

pub(crate) use recognize::{is_promising, recognize};

/// A statement that is a look-up.
#[derive(Debug)]
pub(crate) struct Lookup {
    root: Node,
}

/// A step of a look-up; each yields one batch.
#[derive(Debug)]
enum Node {
    /// Rows of a table by the first columns of its key.
    Rows {
        table: TableColumns,
        /// The key's values, one expression without columns for each.
        key: Vec<Value>,
    },
    /// The best rows of a table, the best first, and their scores.
    Best {
        /// The key is the column that is searched.
        table: TableColumns,
        by: By,
        k: usize,
    },
    /// The input's rows, each beside the rows of a table whose key is the value in one of its columns.
    Matches {
        input: Box<Node>,
        /// Place of that column in the input.
        column: usize,
        table: TableColumns,
        schema: SchemaRef,
    },
    /// The input's rows for which the value is true.
    Filter { input: Box<Node>, predicate: Value },
    /// Values for each row of the input.
    Project { input: Box<Node>, values: Vec<Value>, schema: SchemaRef },
    /// The input's rows in order, as many as are asked for.
    Sort { input: Box<Node>, by: Vec<(Value, SortOptions)>, fetch: Option<usize> },
    /// Some of the input's rows.
    Limit { input: Box<Node>, skip: usize, fetch: Option<usize> },
}

/// What makes rows the best.
#[derive(Debug)]
enum By {
    /// They match a query.
    Words { query: Value },
    /// Their vectors are near to one.
    Nearest { vector: Value, metric: Metric },
}

/// Columns of a table.
#[derive(Debug)]
struct TableColumns {
    name: String,
    /// All columns the table had when the look-up was recognised.
    schema: SchemaRef,
    /// Names of the key's columns that are given.
    key: Vec<String>,
    /// Places of the columns that are asked for.
    columns: Vec<usize>,
}

/// An expression over the columns of a node's input.
#[derive(Debug)]
enum Value {
    Ready(Arc<dyn PhysicalExpr>),
    /// It has parameters, which have values only when the statement runs.
    Open(Box<Expr>, DFSchemaRef),
}

impl Lookup {
    /// What the look-up does, for `EXPLAIN`.
    pub(crate) fn description(&self) -> String {
        let mut tables = Vec::new();
        self.root.tables(&mut tables);
        let described: Vec<String> =
            tables.iter().map(|table| format!("{} by {}", table.name, table.key.join(", "))).collect();
        format!("look-up: {}", described.join(", then "))
    }
}

impl Node {
    fn tables<'a>(&'a self, found: &mut Vec<&'a TableColumns>) {
        match self {
            Self::Rows { table, .. } | Self::Best { table, .. } => found.push(table),
            Self::Matches { input, table, .. } => {
                input.tables(found);
                found.push(table);
            }
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. } => input.tables(found),
        }
    }
}

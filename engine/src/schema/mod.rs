//! The built-in tables: what LatentDB stores about models, sources, features and activations.
//!
//! Each table is a [`TableDefinition`]: columns with comments (shown by `\d+`), the primary key that
//! `ON CONFLICT` and `MERGE` go by, and the sort key its files are written in. The definitions are the
//! single source of the schema; `docs/format.md` describes how they lie on disk.
//!
//! Not here: tables that users create, whose definition lives in their Delta log.

mod community;
mod context_key;
mod dashboards;
mod registry;
mod types;
mod views;

pub use community::COMMUNITY_TABLES;
pub use context_key::ContextKey;
pub use types::ColumnType;
pub use views::{VIEWS, ViewDefinition};

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

/// A column of a built-in table.
#[derive(Debug, Clone, Copy)]
pub struct ColumnDefinition {
    /// Name, a standard term of the field where there is one.
    pub name: &'static str,
    /// Type.
    pub column_type: ColumnType,
    /// Whether the column may be null.
    pub nullable: bool,
    /// What it holds, with units and shape.
    pub comment: &'static str,
}

/// A built-in table.
#[derive(Debug, Clone, Copy)]
pub struct TableDefinition {
    /// Name in schema `public`.
    pub name: &'static str,
    /// What one row is.
    pub comment: &'static str,
    /// Columns in order.
    pub columns: &'static [ColumnDefinition],
    /// Columns that identify a row.
    pub primary_key: &'static [&'static str],
    /// Columns that each data file is sorted by.
    pub sort_key: &'static [&'static str],
    /// How many of those tell a few rows from all others, so that rows can be looked up by them.
    pub lookup_columns: usize,
    /// Whether values repeat so much within a file that dictionaries pay for lists and floats. Where single rows
    /// are looked up they cost: for one row, a column's whole dictionary is decoded.
    pub dictionaries: bool,
    /// Rows of a page: small where single wide rows are looked up.
    pub page_rows: usize,
}

impl TableDefinition {
    /// The Arrow schema; comments ride along as field metadata `comment`.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| {
                Field::new(column.name, column.column_type.to_arrow(), column.nullable)
                    .with_metadata([("comment".to_owned(), column.comment.to_owned())].into())
            })
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// The built-in Delta tables, in the order in which a load commits them: what others refer to first.
pub const DELTA_TABLES: &[&TableDefinition] = &[
    &registry::MODELS,
    &registry::RELEASES,
    &registry::SOURCE_SETS,
    &dashboards::CONTEXTS,
    &dashboards::ACTIVATIONS,
    &dashboards::EXPLANATIONS,
    &dashboards::EXPLANATION_SCORES,
    &dashboards::FEATURES,
    &registry::VECTORS,
    &registry::LENSES,
    &registry::GRAPHS,
    &registry::EVALS,
    &registry::SOURCES,
];

/// The definition of a built-in Delta table.
pub fn delta_table(name: &str) -> Option<&'static TableDefinition> {
    DELTA_TABLES.iter().copied().find(|table| table.name == name)
}

const fn required(name: &'static str, column_type: ColumnType, comment: &'static str) -> ColumnDefinition {
    ColumnDefinition { name, column_type, nullable: false, comment }
}

const fn optional(name: &'static str, column_type: ColumnType, comment: &'static str) -> ColumnDefinition {
    ColumnDefinition { name, column_type, nullable: true, comment }
}

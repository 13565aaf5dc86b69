//! `pg_catalog`: what clients ask a Postgres server about itself, answered from the catalogue as it is.
//!
//! `datafusion-pg-catalog` brings the tables that are the same on every server (types, operators,
//! casts, built-in functions). The tables about *this* database are ours: their object ids are stable
//! over restarts, row counts and sizes are real, comments and primary keys are there, and the current
//! user is whoever asks.
//!
//! Everything is built from [`CatalogFacts`], which a session gathers for one statement.

mod columns;
mod database;
mod functions;
mod indexes;
mod oids;
mod procedures;
mod relations;
mod rewrite;
mod schema;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

pub(crate) use database::OWNER_NAME;
pub(crate) use functions::{functions, table_functions};
pub(crate) use rewrite::rewrite;
pub(crate) use schema::schema;

use crate::Result;
use crate::search::Build;
use crate::sql::lateral::FunctionDefinition;

/// A table or view.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// Name in schema `public`.
    pub name: String,
    /// Stable id: a table's Delta id, or a name nobody else has.
    pub id: String,
    /// Columns; field metadata `comment` holds the column's comment.
    pub schema: SchemaRef,
    /// Comment.
    pub comment: Option<String>,
    /// Columns that identify a row.
    pub primary_key: Vec<String>,
    /// Rows, if they are counted.
    pub rows: Option<u64>,
    /// Bytes of data.
    pub bytes: u64,
    /// The query of a view; `None` for a table.
    pub definition: Option<String>,
    /// Indexes of its columns, the key apart.
    pub indexes: Vec<ColumnIndex>,
}

/// An index of a column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnIndex {
    /// Name.
    pub name: String,
    /// Column.
    pub column: String,
    /// The statement that makes it.
    pub definition: String,
    /// Whether it covers all rows.
    pub is_ready: bool,
    /// How far its build is, while it is built.
    pub build: Option<Build>,
}

/// A setting.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Name.
    pub name: String,
    /// Value, as `SHOW` prints it.
    pub value: String,
    /// What it does.
    pub description: String,
}

/// A session, as `pg_stat_activity` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    /// Number of the session.
    pub process_id: i32,
    /// Its user.
    pub user: String,
    /// Name its client gives itself.
    pub application_name: String,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    /// The statement it runs now, or ran last.
    pub query: String,
}

/// What the catalogue is told about the database and the session that asks.
pub(crate) trait CatalogFacts: fmt::Debug + Send + Sync {
    /// Name of the database.
    fn database(&self) -> String;
    /// User of the session.
    fn user(&self) -> String;
    /// Number of the session.
    fn process_id(&self) -> i32;
    /// Every table and view of schema `public`.
    fn relations(&self) -> Vec<Relation>;
    /// Names of the users that have been made.
    fn roles(&self) -> Vec<String>;
    /// Every setting of the session.
    fn settings(&self) -> Vec<Setting>;
    /// One setting of the session.
    fn setting(&self, name: &str) -> Option<String>;
    /// Sets a setting for the session.
    fn set(&self, name: &str, value: &str) -> Result<()>;
    /// All sessions.
    fn activity(&self) -> Vec<Activity>;
    /// Stops what a session runs; whether there is one of that number.
    fn cancel(&self, process_id: i32) -> Result<bool>;
    /// Ends a session; whether there is one of that number.
    fn terminate(&self, process_id: i32) -> Result<bool>;
    /// Functions with named parameters, for `\df`.
    fn functions(&self) -> Vec<Arc<FunctionDefinition>>;
}

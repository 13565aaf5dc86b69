//! Changes to a community table: each is one SQLite transaction, made when the plan runs.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::TryStreamExt;
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use super::merge::Merge;
use super::values::{RowReader, column_to_sqlite, to_sqlite};
use super::{Community, blocking, failed};
use crate::schema::TableDefinition;
use crate::{Error, ErrorKind, Result};

/// A column's new value, computed from the row as it was.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) column: usize,
    pub(super) value: Arc<dyn PhysicalExpr>,
}

/// What to do to the table.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Insert { overwrite: bool },
    Delete { predicate: Option<Arc<dyn PhysicalExpr>> },
    Update { predicate: Option<Arc<dyn PhysicalExpr>>, assignments: Vec<Assignment> },
    Merge(Merge),
}

/// The plan that makes `change` with the rows of `input` and answers how many rows it touched.
pub(super) fn write_plan(
    community: Arc<Community>,
    definition: &'static TableDefinition,
    schema: SchemaRef,
    input: Arc<dyn ExecutionPlan>,
    change: Change,
) -> Arc<dyn ExecutionPlan> {
    // SQLite checks constraints itself, and says which one.
    let accepts = input.schema();
    let writer = Writer { community, definition, schema, accepts, change };
    Arc::new(DataSinkExec::new(input, Arc::new(writer), None))
}

#[derive(Debug)]
struct Writer {
    community: Arc<Community>,
    definition: &'static TableDefinition,
    schema: SchemaRef,
    /// Columns of the input, which are the table's only for an insert.
    accepts: SchemaRef,
    change: Change,
}

impl DisplayAs for Writer {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.change {
            Change::Insert { .. } => "insert",
            Change::Delete { .. } => "delete",
            Change::Update { .. } => "update",
            Change::Merge(_) => "merge",
        };
        write!(f, "CommunityTable: {verb} {}", self.definition.name)
    }
}

#[async_trait]
impl DataSink for Writer {
    // What rows may look like when they come; the table's own schema, the field `schema`, is stricter.
    #[allow(clippy::misnamed_getters)]
    fn schema(&self) -> &SchemaRef {
        &self.accepts
    }

    async fn write_all(
        &self,
        data: SendableRecordBatchStream,
        _context: &Arc<TaskContext>,
    ) -> datafusion::error::Result<u64> {
        let input_schema = data.schema();
        let input: Vec<RecordBatch> = data.try_collect().await?;
        let (community, schema, change) = (Arc::clone(&self.community), Arc::clone(&self.schema), self.change.clone());
        let definition = self.definition;
        let changed = blocking(move || {
            community.write(|transaction| {
                let table = TableWriter { path: &community.path, transaction, name: definition.name, schema: &schema };
                match &change {
                    Change::Insert { overwrite } => {
                        if *overwrite {
                            table.delete_all()?;
                        }
                        table.insert(&input)
                    }
                    Change::Delete { predicate } => table.delete_where(predicate.as_ref()),
                    Change::Update { predicate, assignments } => table.update_where(predicate.as_ref(), assignments),
                    Change::Merge(merge) => merge.apply(&table, &input_schema, &input),
                }
            })
        })
        .await?;
        Ok(changed)
    }
}

/// A table inside a transaction.
pub(super) struct TableWriter<'a> {
    path: &'a std::path::Path,
    transaction: &'a Transaction<'a>,
    name: &'static str,
    pub(super) schema: &'a SchemaRef,
}

impl TableWriter<'_> {
    /// All rows with SQLite's own row numbers.
    pub(super) fn rows(&self) -> Result<(Vec<i64>, RecordBatch)> {
        let columns: Vec<String> = self.schema.fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
        let sql = format!("SELECT rowid, {} FROM \"{}\"", columns.join(", "), self.name);
        let mut statement = self.transaction.prepare_cached(&sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([]).map_err(|error| self.failed(error))?;
        let mut reader = RowReader::new(self.schema)?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            numbers.push(row.get(0).map_err(|error| self.failed(error))?);
            reader.push(row, 1)?;
        }
        Ok((numbers, reader.finish()?))
    }

    pub(super) fn insert(&self, batches: &[RecordBatch]) -> Result<u64> {
        let columns: Vec<String> = self.schema.fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({marks})", self.name, columns.join(", "));
        let mut statement = self.transaction.prepare_cached(&sql).map_err(|error| self.failed(error))?;
        let mut inserted = 0;
        for batch in batches {
            for row in to_sqlite(batch, self.schema)? {
                statement.execute(params_from_iter(row)).map_err(|error| self.failed(error))?;
                inserted += 1;
            }
        }
        Ok(inserted)
    }

    fn delete_all(&self) -> Result<u64> {
        let sql = format!("DELETE FROM \"{}\"", self.name);
        let deleted = self.transaction.execute(&sql, []).map_err(|error| self.failed(error))?;
        Ok(deleted as u64)
    }

    fn delete_where(&self, predicate: Option<&Arc<dyn PhysicalExpr>>) -> Result<u64> {
        let Some(predicate) = predicate else { return self.delete_all() };
        let (numbers, rows) = self.rows()?;
        let chosen = select(predicate, &rows)?;
        self.delete(numbers.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(number, _)| *number))
    }

    /// Deletes rows by number.
    pub(super) fn delete(&self, numbers: impl Iterator<Item = i64>) -> Result<u64> {
        let sql = format!("DELETE FROM \"{}\" WHERE rowid = ?", self.name);
        let mut statement = self.transaction.prepare_cached(&sql).map_err(|error| self.failed(error))?;
        let mut deleted = 0;
        for number in numbers {
            deleted += statement.execute([number]).map_err(|error| self.failed(error))? as u64;
        }
        Ok(deleted)
    }

    fn update_where(&self, predicate: Option<&Arc<dyn PhysicalExpr>>, assignments: &[Assignment]) -> Result<u64> {
        let (mut numbers, mut rows) = self.rows()?;
        if let Some(predicate) = predicate {
            let chosen = select(predicate, &rows)?;
            let mask = arrow::array::BooleanArray::from(chosen.clone());
            rows = arrow::compute::filter_record_batch(&rows, &mask).map_err(|error| evaluation(&error))?;
            numbers = numbers.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(number, _)| number).collect();
        }
        self.update(&numbers, &rows, assignments)
    }

    /// Sets columns of the rows called `numbers`; the values are computed from `rows`, one for each.
    pub(super) fn update(&self, numbers: &[i64], rows: &RecordBatch, assignments: &[Assignment]) -> Result<u64> {
        if numbers.is_empty() {
            return Ok(0);
        }
        let mut names = Vec::new();
        let mut columns: Vec<Vec<Value>> = Vec::new();
        for assignment in assignments {
            let field = self.schema.field(assignment.column);
            let values = assignment
                .value
                .evaluate(rows)
                .and_then(|value| value.into_array(rows.num_rows()))
                .map_err(|error| evaluation(&error))?;
            names.push(format!("\"{}\" = ?", field.name()));
            columns.push(column_to_sqlite(&values, field)?);
        }
        let sql = format!("UPDATE \"{}\" SET {} WHERE rowid = ?", self.name, names.join(", "));
        let mut statement = self.transaction.prepare_cached(&sql).map_err(|error| self.failed(error))?;
        let mut updated = 0;
        for (index, number) in numbers.iter().enumerate() {
            let values = columns.iter().filter_map(|column| column.get(index).cloned());
            let values = values.chain(std::iter::once(Value::Integer(*number)));
            updated += statement.execute(params_from_iter(values)).map_err(|error| self.failed(error))? as u64;
        }
        Ok(updated)
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        failed(self.path, error)
    }
}

/// For each row, whether `predicate` is true (and not null).
pub(super) fn select(predicate: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<Vec<bool>> {
    let chosen = predicate
        .evaluate(rows)
        .and_then(|value| value.into_array(rows.num_rows()))
        .map_err(|error| evaluation(&error))?;
    let Some(chosen) = chosen.as_boolean_opt() else {
        return Err(Error::new(ErrorKind::TypeMismatch, "the condition is not true or false"));
    };
    Ok((0..chosen.len()).map(|row| chosen.is_valid(row) && chosen.value(row)).collect())
}

pub(super) fn evaluation(error: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidValue, error.to_string())
}

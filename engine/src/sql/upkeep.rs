//! Procedures for the upkeep of tables: `optimize`, `vacuum`.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use super::call::{Parameter, Procedure};
use super::notices::Notices;
use crate::{Engine, Error, ErrorKind, Result};

/// Merges a table's small files into sorted ones of full size.
#[derive(Debug)]
pub(crate) struct Optimize;

/// Deletes files that no state of a table within the retention refers to.
#[derive(Debug)]
pub(crate) struct Vacuum;

#[async_trait]
impl Procedure for Optimize {
    fn name(&self) -> &'static str {
        "optimize"
    }

    fn description(&self) -> &'static str {
        "Merges a table's small files into sorted ones of full size"
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![table()]
    }

    fn columns(&self) -> SchemaRef {
        columns(&["files_before", "files_after"])
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, _notices: &Notices) -> Result<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        for table in tables(engine, arguments.first())? {
            let (before, after) = engine.shared().optimize(&table).await?;
            rows.push((table, vec![before, after]));
        }
        answer(self.columns(), rows)
    }
}

#[async_trait]
impl Procedure for Vacuum {
    fn name(&self) -> &'static str {
        "vacuum"
    }

    fn description(&self) -> &'static str {
        "Deletes files that only older states of a table refer to"
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            table(),
            Parameter {
                name: "retain_hours",
                data_type: DataType::Float64,
                default: Some(ScalarValue::Float64(None)),
                description: "hours for which older states stay readable; a week if not given",
            },
            Parameter {
                name: "dry_run",
                data_type: DataType::Boolean,
                default: Some(ScalarValue::Boolean(Some(false))),
                description: "only count the files",
            },
        ]
    }

    fn columns(&self) -> SchemaRef {
        columns(&["files_deleted"])
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, _notices: &Notices) -> Result<Vec<RecordBatch>> {
        let retention = match arguments.get(1) {
            Some(ScalarValue::Float64(Some(hours))) => Some(
                Duration::try_from_secs_f64(hours * 3600.0)
                    .map_err(|_| Error::new(ErrorKind::InvalidValue, format!("retain_hours => {hours} is no time")))?,
            ),
            _ => None,
        };
        let dry_run = matches!(arguments.get(2), Some(ScalarValue::Boolean(Some(true))));
        let mut rows = Vec::new();
        for table in tables(engine, arguments.first())? {
            let deleted = engine.shared().database.vacuum(&table, retention, dry_run).await?;
            rows.push((table, vec![deleted]));
        }
        answer(self.columns(), rows)
    }
}

fn table() -> Parameter {
    Parameter {
        name: "table",
        data_type: DataType::Utf8,
        default: Some(ScalarValue::Utf8(None)),
        description: "the table; all of them if not given",
    }
}

/// The table that was named, or all.
fn tables(engine: &Engine, argument: Option<&ScalarValue>) -> Result<Vec<String>> {
    let names = engine.shared().database.begin().table_names();
    match argument {
        Some(ScalarValue::Utf8(Some(table))) if names.contains(table) => Ok(vec![table.clone()]),
        Some(ScalarValue::Utf8(Some(table))) => {
            Err(Error::new(ErrorKind::UndefinedTable, format!("relation \"{table}\" does not exist")))
        }
        _ => Ok(names),
    }
}

fn columns(counts: &[&str]) -> SchemaRef {
    let table = Field::new("table_name", DataType::Utf8, false);
    let counts = counts.iter().map(|name| Field::new(*name, DataType::Int64, false));
    Arc::new(Schema::new(std::iter::once(table).chain(counts).collect::<Vec<_>>()))
}

fn answer(schema: SchemaRef, rows: Vec<(String, Vec<usize>)>) -> Result<Vec<RecordBatch>> {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(rows.iter().map(|(table, _)| table)))];
    for index in 0..schema.fields().len().saturating_sub(1) {
        let counts = rows.iter().map(|(_, counts)| counts.get(index).and_then(|count| i64::try_from(*count).ok()));
        columns.push(Arc::new(Int64Array::from_iter(counts)));
    }
    Ok(vec![RecordBatch::try_new(schema, columns).map_err(DataFusionError::from)?])
}

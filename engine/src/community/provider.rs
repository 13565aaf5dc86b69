//! A community table as DataFusion sees it.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::change::{Assignment, Change, write_plan};
use super::filter::condition;
use super::merge::Merge;
use super::values::RowReader;
use super::{Community, failed};
use crate::schema::TableDefinition;

/// Rows read from SQLite at a time.
const BATCH_ROWS: usize = 4096;

/// One table.
#[derive(Debug)]
pub(super) struct CommunityTable {
    community: Arc<Community>,
    definition: &'static TableDefinition,
    schema: SchemaRef,
}

impl CommunityTable {
    pub(super) fn new(community: Arc<Community>, definition: &'static TableDefinition) -> Self {
        Self { community, definition, schema: definition.schema() }
    }

    fn write(&self, input: Arc<dyn ExecutionPlan>, change: Change) -> Arc<dyn ExecutionPlan> {
        write_plan(Arc::clone(&self.community), self.definition, Arc::clone(&self.schema), input, change)
    }

    /// The plan of a change that reads nothing but the table itself.
    fn write_alone(&self, change: Change) -> Arc<dyn ExecutionPlan> {
        self.write(Arc::new(EmptyExec::new(Arc::new(Schema::empty()))), change)
    }

    fn own_schema(&self) -> Result<DFSchema> {
        DFSchema::try_from(Arc::clone(&self.schema))
    }
}

#[async_trait]
impl TableProvider for CommunityTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match condition(filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let mut values: Vec<Value> = Vec::new();
        let mut conditions = Vec::new();
        for condition in filters.iter().filter_map(condition) {
            conditions.push(condition.sql);
            values.extend(condition.values);
        }
        let sql = select_statement(self.definition.name, &schema, &conditions, limit);
        let scan = Scan { community: Arc::clone(&self.community), schema: Arc::clone(&schema), sql, values };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, None)?))
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.write(input, Change::Insert { overwrite: operation == InsertOp::Overwrite }))
    }

    async fn delete_from(&self, state: &dyn Session, filters: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.own_schema()?;
        let predicate = conjunction(unqualified(filters)?).map(|expr| state.create_physical_expr(expr, &schema));
        Ok(self.write_alone(Change::Delete { predicate: predicate.transpose()? }))
    }

    async fn update(
        &self,
        state: &dyn Session,
        assignments: Vec<(String, Expr)>,
        filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.own_schema()?;
        let predicate = conjunction(unqualified(filters)?).map(|expr| state.create_physical_expr(expr, &schema));
        let assignments = assignments
            .into_iter()
            .map(|(column, value)| {
                let value = unqualified(vec![value])?
                    .pop()
                    .ok_or_else(|| DataFusionError::Internal("an assignment without a value".to_owned()))?;
                Ok(Assignment {
                    column: self.schema.index_of(&column)?,
                    value: state.create_physical_expr(value, &schema)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.write_alone(Change::Update { predicate: predicate.transpose()?, assignments }))
    }

    async fn truncate(&self, _state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.write_alone(Change::Delete { predicate: None }))
    }

    async fn merge_into(
        &self,
        state: &dyn Session,
        source: Arc<dyn ExecutionPlan>,
        merge_schema: DFSchemaRef,
        on: Expr,
        clauses: Vec<MergeIntoClause>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let merge = Merge::plan(state, &self.schema, &merge_schema, on, clauses)?;
        Ok(self.write(source, Change::Merge(merge)))
    }
}

/// DataFusion may qualify the columns of a condition with the table's name or alias.
fn unqualified(exprs: Vec<Expr>) -> Result<Vec<Expr>> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    exprs
        .into_iter()
        .map(|expr| {
            Ok(expr
                .transform(|node| match node {
                    Expr::Column(mut column) if column.relation.is_some() => {
                        column.relation = None;
                        Ok(Transformed::yes(Expr::Column(column)))
                    }
                    other => Ok(Transformed::no(other)),
                })?
                .data)
        })
        .collect()
}

fn select_statement(table: &str, schema: &SchemaRef, conditions: &[String], limit: Option<usize>) -> String {
    let columns: Vec<String> = schema.fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
    // A query that only counts rows asks for no columns.
    let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    let mut sql = format!("SELECT {columns} FROM \"{table}\"");
    if !conditions.is_empty() {
        sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    if let Some(limit) = limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
    sql
}

/// A query to SQLite that is run when the plan is.
#[derive(Debug)]
struct Scan {
    community: Arc<Community>,
    schema: SchemaRef,
    sql: String,
    values: Vec<Value>,
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let sender = builder.tx();
        let (community, schema) = (Arc::clone(&self.community), Arc::clone(&self.schema));
        let (sql, values) = (self.sql.clone(), self.values.clone());
        builder.spawn_blocking(move || {
            community
                .read(|connection| {
                    let wrap = |error| failed(&community.path, error);
                    let mut statement = connection.prepare_cached(&sql).map_err(wrap)?;
                    let mut rows = statement.query(params_from_iter(values)).map_err(wrap)?;
                    let mut reader = RowReader::new(&schema)?;
                    while let Some(row) = rows.next().map_err(wrap)? {
                        reader.push(row, 0)?;
                        // A receiver that is gone no longer wants rows.
                        if reader.rows() == BATCH_ROWS && sender.blocking_send(Ok(reader.finish()?)).is_err() {
                            return Ok(());
                        }
                    }
                    if reader.rows() > 0 {
                        let _ = sender.blocking_send(Ok(reader.finish()?));
                    }
                    Ok(())
                })
                .map_err(DataFusionError::from)
        });
        builder.build()
    }
}

//! Answering look-ups.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{SortColumn, filter_record_batch, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use futures::future::BoxFuture;

use super::best::found_schema;
use super::{By, Lookup, Node, TableColumns, Value};
use crate::search::Searched;
use crate::storage::rows_by_place::Place;
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Result};

impl Lookup {
    /// The rows, as `transaction` sees them; `None` if this has to be planned after all.
    pub(crate) async fn run(
        &self,
        transaction: &Transaction,
        state: &SessionState,
        parameters: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        Run { transaction, state, parameters }.node(&self.root).await
    }
}

/// One running of a look-up.
struct Run<'a> {
    transaction: &'a Transaction,
    state: &'a SessionState,
    parameters: &'a [ScalarValue],
}

impl Run<'_> {
    fn node<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Result<Option<RecordBatch>>> {
        Box::pin(async move {
            let batch = match node {
                Node::Rows { table, key } => return self.rows(table, key).await,
                Node::Best { table, by, k } => return self.best(table, by, *k).await,
                Node::Matches { input, column, table, schema } => {
                    let Some(input) = self.node(input).await? else { return Ok(None) };
                    return self.matches(&input, *column, table, schema).await;
                }
                Node::Filter { input, predicate } => {
                    let Some(input) = self.node(input).await? else { return Ok(None) };
                    let keep = self.evaluate(predicate, &input)?;
                    let keep = keep.as_boolean_opt().ok_or_else(|| internal("a condition is not true or false"))?;
                    filter_record_batch(&input, keep)
                }
                Node::Project { input, values, schema } => {
                    let Some(input) = self.node(input).await? else { return Ok(None) };
                    let columns = values.iter().map(|value| self.evaluate(value, &input)).collect::<Result<_>>()?;
                    batch(Arc::clone(schema), columns, input.num_rows())
                }
                Node::Sort { input, by, fetch } => {
                    let Some(input) = self.node(input).await? else { return Ok(None) };
                    self.sort(&input, by, *fetch)?
                }
                Node::Limit { input, skip, fetch } => {
                    let Some(input) = self.node(input).await? else { return Ok(None) };
                    let skip = (*skip).min(input.num_rows());
                    let left = input.num_rows() - skip;
                    Ok(input.slice(skip, fetch.map_or(left, |fetch| fetch.min(left))))
                }
            };
            batch.map(Some).map_err(internal)
        })
    }

    async fn rows(&self, table: &TableColumns, key: &[Value]) -> Result<Option<RecordBatch>> {
        let wanted = key.iter().map(|value| self.constant(value)).collect::<Result<Vec<ArrayRef>>>()?;
        if wanted.iter().any(|value| value.is_null(0)) {
            // Nothing equals null, nor a value that the column's type cannot hold.
            return Ok(Some(RecordBatch::new_empty(Arc::new(table.schema.project(&table.columns).map_err(internal)?))));
        }
        let found = self.transaction.rows_by_key(&table.name, &table.schema, &table.columns, &wanted).await?;
        Ok(found.map(|found| found.rows))
    }

    async fn best(&self, table: &TableColumns, by: &By, k: usize) -> Result<Option<RecordBatch>> {
        let wanted = self.constant(by.wanted())?;
        let Some(seen) = self.transaction.searched(&table.name, &table.schema).await? else { return Ok(None) };
        let column = table.key.first().map(String::as_str).unwrap_or_default();
        let searched = Searched { table: &table.name, column, target: &seen.0, state: self.state };
        let (places, scores): (Vec<Place>, Option<Vec<f32>>) = match by {
            By::Words { .. } => {
                let Some(found) = searched.best_by_words(&wanted, k).await? else { return Ok(None) };
                let (places, scores) = found.into_iter().unzip();
                (places, Some(scores))
            }
            By::Nearest { metric, .. } => {
                let Some(places) = searched.nearest(&wanted, *metric, k).await? else { return Ok(None) };
                (places, None)
            }
        };
        let schema = found_schema(&table.schema, &table.columns, scores.is_some());
        let schema = Arc::new(schema.ok_or_else(|| internal("a column went missing"))?);
        let rows = self.transaction.rows_at(&seen, &table.columns, &places).await?;
        let scores = scores.map(|scores| Arc::new(Float32Array::from(scores)) as ArrayRef);
        let columns = rows.columns().iter().cloned().chain(scores).collect();
        batch(schema, columns, places.len()).map(Some).map_err(internal)
    }

    async fn matches(
        &self,
        input: &RecordBatch,
        column: usize,
        table: &TableColumns,
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>> {
        let keys = input.columns().get(column).ok_or_else(|| internal("a column went missing"))?;
        let (present, keys) = without_nulls(keys)?;
        let found = self.transaction.rows_by_key(&table.name, &table.schema, &table.columns, &[keys]).await?;
        let Some(found) = found else { return Ok(None) };
        let places: UInt64Array = found.keys.iter().filter_map(|key| present.get(*key).copied()).collect();
        let left = take(input, &places).map_err(internal)?;
        let columns = left.columns().iter().chain(found.rows.columns()).cloned().collect();
        batch(Arc::clone(schema), columns, places.len()).map(Some).map_err(internal)
    }

    fn sort(
        &self,
        input: &RecordBatch,
        by: &[(Value, arrow::compute::SortOptions)],
        fetch: Option<usize>,
    ) -> Result<arrow::error::Result<RecordBatch>> {
        let columns = by
            .iter()
            .map(|(value, options)| Ok(SortColumn { values: self.evaluate(value, input)?, options: Some(*options) }))
            .collect::<Result<Vec<_>>>()?;
        let order = lexsort_to_indices(&columns, fetch);
        Ok(order.and_then(|order| {
            take(input, &UInt64Array::from_iter_values(order.values().iter().map(|row| u64::from(*row))))
        }))
    }

    /// The value of an expression without columns, as an array of one.
    fn constant(&self, value: &Value) -> Result<ArrayRef> {
        let one_row = RecordBatchOptions::new().with_row_count(Some(1));
        let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row);
        self.evaluate(value, &nothing.map_err(internal)?)
    }

    fn evaluate(&self, value: &Value, input: &RecordBatch) -> Result<ArrayRef> {
        let rows = input.num_rows();
        match value {
            Value::Ready(expr) => Ok(expr.evaluate(input)?.into_array(rows)?),
            Value::Open(expr, schema) => {
                let expr = self.bind(expr)?;
                if let Some(value) = as_value(&expr) {
                    return Ok(value.to_array_of_size(rows)?);
                }
                let expr = self.state.create_physical_expr(expr, schema)?;
                Ok(expr.evaluate(input)?.into_array(rows)?)
            }
        }
    }

    /// `expr` with the parameters' values in it.
    fn bind(&self, expr: &Expr) -> Result<Expr> {
        let bound = expr.clone().transform(|expr| match &expr {
            Expr::Placeholder(parameter) => {
                let number: Option<usize> = parameter.id.strip_prefix('$').and_then(|number| number.parse().ok());
                let value = number.and_then(|number| self.parameters.get(number.checked_sub(1)?)).cloned();
                let value = value.ok_or_else(|| internal(format!("parameter {} has no value", parameter.id)))?;
                Ok(Transformed::yes(Expr::Literal(value, None)))
            }
            _ => Ok(Transformed::no(expr)),
        });
        Ok(bound.data()?)
    }
}

/// The value that `expr` is, if it is nothing more.
fn as_value(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Cast(cast) => as_value(&cast.expr).filter(|value| value.data_type() == *cast.field.data_type()),
        _ => None,
    }
}

impl By {
    /// What rows are compared with.
    fn wanted(&self) -> &Value {
        match self {
            Self::Words { query } => query,
            Self::Nearest { vector, .. } => vector,
        }
    }
}

/// The rows at `places`; the input itself if that is all of it.
fn take(input: &RecordBatch, places: &UInt64Array) -> arrow::error::Result<RecordBatch> {
    let is_all =
        places.len() == input.num_rows() && places.values().iter().enumerate().all(|(row, place)| row as u64 == *place);
    if is_all { Ok(input.clone()) } else { take_record_batch(input, places) }
}

/// Places of the values that are there, and the values.
fn without_nulls(keys: &ArrayRef) -> Result<(Vec<u64>, ArrayRef)> {
    let present: Vec<u64> = (0..keys.len()).filter(|row| keys.is_valid(*row)).map(|row| row as u64).collect();
    if present.len() == keys.len() {
        return Ok((present, Arc::clone(keys)));
    }
    let taken = arrow::compute::take(keys, &UInt64Array::from(present.clone()), None).map_err(internal)?;
    Ok((present, taken))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> arrow::error::Result<RecordBatch> {
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

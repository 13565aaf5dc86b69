//! Rows of tables: which ones, and with other values in some columns on their way back.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::Field;
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Result, text_literal};

use crate::arguments::internal;

/// The condition that selects a source's rows in every table that has them.
pub(crate) fn of_source(model: &str, source: &str) -> String {
    format!("model_id = {} AND source_id = {}", text_literal(model), text_literal(source))
}

/// `rows` with other values in some columns, cast to the types that these have.
pub(crate) fn with_columns(rows: &RecordBatch, values: &[(&str, ArrayRef)]) -> Result<RecordBatch> {
    let schema = rows.schema();
    let column = |(field, old): (&Arc<Field>, &ArrayRef)| match values.iter().find(|(name, _)| name == field.name()) {
        Some((_, value)) => cast(value, field.data_type()).map_err(internal),
        None => Ok(Arc::clone(old)),
    };
    let columns = schema.fields().iter().zip(rows.columns()).map(column).collect::<Result<_>>()?;
    RecordBatch::try_new(schema, columns).map_err(internal)
}

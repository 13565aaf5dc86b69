//! Reading columns of data files together with where each row is.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::TryStreamExt;

use super::rows::RowsOfFiles;
use crate::storage::scan::{FILE_COLUMN, ROW_COLUMN, ScanTarget};
use crate::{Error, ErrorKind, Result};

/// Reads the rows of `target` for which `filters` are true: `column`, if there is one, and where the row is. Rows of a target of
/// one file come in order.
pub(super) fn located(
    target: &ScanTarget,
    state: &SessionState,
    column: Option<&str>,
    filters: &[Expr],
) -> Result<SendableRecordBatchStream> {
    let mut target = target.clone();
    target.with_file_column = true;
    target.with_row_column = true;
    let schema = target.schema();
    let mut wanted: Vec<usize> = Vec::new();
    for name in column.into_iter().chain([FILE_COLUMN, ROW_COLUMN]) {
        wanted.push(schema.index_of(name).map_err(DataFusionError::from)?);
    }
    for named in filters.iter().flat_map(Expr::column_refs) {
        let index = schema.index_of(&named.name).map_err(DataFusionError::from)?;
        if !wanted.contains(&index) {
            wanted.push(index);
        }
    }
    let mut plan = target.plan(state, Some(&wanted), filters, None)?;
    if let Some(filter) = conjunction(filters.iter().cloned()) {
        let read = DFSchema::try_from(plan.schema())?;
        plan = Arc::new(FilterExec::try_new(state.create_physical_expr(filter, &read)?, plan)?);
    }
    Ok(execute_stream(plan, state.task_ctx())?)
}

/// The rows of `target` for which `filters` are true.
pub(super) async fn rows_where(target: &ScanTarget, state: &SessionState, filters: &[Expr]) -> Result<RowsOfFiles> {
    let mut found = RowsOfFiles::new();
    let mut batches = located(target, state, None, filters)?;
    while let Some(batch) = batches.try_next().await? {
        for (file, row) in places(&batch)? {
            found.entry(file).or_default().insert(row);
        }
    }
    Ok(found)
}

/// Where the rows of a batch of [`located`] are: place of the file, and number of the row.
pub(super) fn places(batch: &RecordBatch) -> Result<impl Iterator<Item = (usize, u32)>> {
    let lost = || Error::new(ErrorKind::Internal, "a scan lost the places of its rows");
    let files = batch.column_by_name(FILE_COLUMN).and_then(|column| column.as_primitive_opt::<Int32Type>());
    let rows = batch.column_by_name(ROW_COLUMN).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let (files, rows) = (files.ok_or_else(lost)?, rows.ok_or_else(lost)?);
    if files.null_count() + rows.null_count() > 0 {
        return Err(lost());
    }
    let pairs: Vec<(usize, u32)> = files
        .values()
        .iter()
        .zip(rows.values())
        .map(|(file, row)| Some((usize::try_from(*file).ok()?, u32::try_from(*row).ok()?)))
        .collect::<Option<_>>()
        .ok_or_else(lost)?;
    Ok(pairs.into_iter())
}

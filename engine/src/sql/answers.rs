//! Small tables that the session answers by itself: `SHOW`, `SHOW ALL`, results of procedures.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;

use super::settings;
use super::vars::SessionVars;
use crate::{Error, ErrorKind, Outcome, Result, RowStream};

/// `SHOW name`.
pub(crate) fn setting(vars: &SessionVars, name: &str) -> Result<Outcome> {
    let unknown = || {
        Error::new(ErrorKind::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))
            .with_hint("SHOW ALL lists the settings")
    };
    let value = vars.setting(name).ok_or_else(unknown)?;
    table("SHOW", setting_schema(name), vec![Arc::new(StringArray::from(vec![value]))])
}

/// `SHOW ALL`.
pub(crate) fn settings(vars: &SessionVars) -> Result<Outcome> {
    let rows = vars.all_settings();
    let column = |pick: fn(&super::vars::SettingRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
    };
    let columns = vec![column(|row| &row.name), column(|row| &row.value), column(|row| &row.description)];
    table("SHOW", settings_schema(), columns)
}

/// The one column of `SHOW name`.
pub(crate) fn setting_schema(name: &str) -> SchemaRef {
    text_columns(&[settings::find(name).map_or(name, |setting| setting.name)])
}

/// Columns of `SHOW ALL`.
pub(crate) fn settings_schema() -> SchemaRef {
    text_columns(&["name", "setting", "description"])
}

/// Text columns of these names.
pub(crate) fn text_columns(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// An outcome of rows that are all here.
pub(crate) fn table(command: &'static str, schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Outcome> {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| Error::from(datafusion::error::DataFusionError::from(error)))?;
    Ok(Outcome::Rows { command, rows: stream(schema, vec![batch]) })
}

/// Batches that are all here, as rows to read.
pub(crate) fn stream(schema: SchemaRef, batches: Vec<RecordBatch>) -> RowStream {
    RowStream::new(schema, futures::stream::iter(batches.into_iter().map(Ok)).boxed())
}

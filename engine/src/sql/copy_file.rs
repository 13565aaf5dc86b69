//! `COPY … TO 'file'`: Parquet, CSV or JSON lines. The file appears whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::LineDelimitedWriter;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast;
use parquet::arrow::ArrowWriter;
use uuid::Uuid;

use super::conversation::Conversation;
use super::{copy, parquet_bytes};
use crate::outcome::CopyOptions;
use crate::{Error, ErrorKind, Outcome, Result};

/// Runs `query` and writes its rows to `path`.
pub(crate) async fn write(
    session: &Arc<Conversation>,
    query: &ast::Statement,
    path: &str,
    format: Option<&str>,
    options: &CopyOptions,
) -> Result<Outcome> {
    let format = Format::choose(path, format)?;
    let mut rows = copy::rows(session, query).await?;
    let (path, options) = (PathBuf::from(path), options.clone());
    let written = session.shared().runtime.run(async move {
        let mut file = NewFile::create(&path, format, rows.schema(), &options)?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            count += batch.num_rows() as u64;
            file.write(&batch)?;
        }
        file.finish()?;
        Ok(count)
    });
    Ok(Outcome::Changed { command: "COPY", rows: written.await? })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    /// By name, else by the file's ending.
    fn choose(path: &str, named: Option<&str>) -> Result<Self> {
        let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match named.or(ending.as_deref()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            Some("json" | "jsonl" | "ndjson") => Ok(Self::Json),
            Some(other) => {
                Err(Error::new(ErrorKind::Unsupported, format!("COPY to files of format \"{other}\" is not supported"))
                    .with_hint("FORMAT parquet, csv or json"))
            }
            None => Err(Error::new(ErrorKind::InvalidValue, format!("no format is named for \"{path}\""))
                .with_hint("end the file's name in .parquet, .csv or .json, or name one: WITH (FORMAT parquet)")),
        }
    }
}

enum Writer {
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
    Csv(Box<csv::Writer<BufWriter<File>>>, SchemaRef),
    Json(LineDelimitedWriter<BufWriter<File>>),
}

/// A file under another name until it is complete.
struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: Option<Writer>,
}

impl NewFile {
    fn create(path: &Path, format: Format, schema: &SchemaRef, options: &CopyOptions) -> Result<Self> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, format!("{} does not name a file", path.display())))?;
        let temporary = path.with_file_name(format!(".{name}.{}", Uuid::new_v4()));
        let file = BufWriter::new(File::create(&temporary).map_err(|error| failed(path, &error))?);
        let writer = match format {
            Format::Parquet => {
                let properties = parquet_bytes::properties();
                let writer =
                    ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(DataFusionError::from);
                Writer::Parquet(Box::new(writer?))
            }
            Format::Csv => {
                let builder = csv::WriterBuilder::new()
                    .with_header(options.header)
                    .with_delimiter(options.delimiter)
                    .with_quote(options.quote)
                    .with_null(options.null.clone());
                Writer::Csv(Box::new(builder.build(file)), flat(schema))
            }
            Format::Json => Writer::Json(LineDelimitedWriter::new(file)),
        };
        let mut new = Self { path: path.to_owned(), temporary, writer: Some(writer) };
        // A header, and a Parquet file's schema, are there even without rows.
        new.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
        Ok(new)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match &mut self.writer {
            Some(Writer::Parquet(writer)) => writer.write(batch).map_err(DataFusionError::from),
            Some(Writer::Csv(writer, schema)) => flattened(batch, schema).and_then(|batch| Ok(writer.write(&batch)?)),
            Some(Writer::Json(writer)) => writer.write(batch).map_err(DataFusionError::from),
            None => Ok(()),
        };
        Ok(written?)
    }

    /// Puts the file on disk and gives it its name.
    fn finish(mut self) -> Result<()> {
        let buffer = match self.writer.take() {
            Some(Writer::Parquet(writer)) => writer.into_inner().map_err(DataFusionError::from)?,
            Some(Writer::Csv(writer, _)) => writer.into_inner(),
            Some(Writer::Json(mut writer)) => {
                writer.finish().map_err(DataFusionError::from)?;
                writer.into_inner()
            }
            None => return Ok(()),
        };
        let sync = |mut buffer: BufWriter<File>| -> std::io::Result<()> {
            buffer.flush()?;
            buffer.get_ref().sync_all()?;
            fs::rename(&self.temporary, &self.path)?;
            match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => File::open(parent)?.sync_all(),
                None => File::open(".")?.sync_all(),
            }
        };
        sync(buffer).map_err(|error| failed(&self.path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already if the file was finished.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write {}: {error}", path.display()))
        .with_hint("the path is the server's; COPY … TO STDOUT, or \\copy in psql, writes on the client")
}

/// The columns as CSV takes them: lists and structs become text.
fn flat(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = if field.data_type().is_nested() { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(field.name(), data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn flattened(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type().is_nested() {
            true => cast(column, &DataType::Utf8),
            false => Ok(Arc::clone(column)),
        })
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

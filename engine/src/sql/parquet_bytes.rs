//! Rows as the bytes of a Parquet file, given out while they are written, in bounded memory.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::{Error, ErrorKind, Result};

/// Size at which a row group ends: rows wait in memory for the rest of theirs.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// How files are written that leave the database.
pub(crate) fn properties() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}

/// Writes one Parquet file, piece by piece. Without its end it is none: no reader opens a part of it.
#[derive(Debug)]
pub struct ParquetBytes {
    writer: ArrowWriter<Vec<u8>>,
}

impl ParquetBytes {
    /// A file of rows of `schema`.
    ///
    /// # Errors
    /// `Unsupported` if Parquet has no form for one of its types.
    pub fn new(schema: &SchemaRef) -> Result<Self> {
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties()));
        Ok(Self { writer: writer.map_err(|error| no_form(&error))? })
    }

    /// Adds rows; gives the bytes that are ready, perhaps none yet.
    ///
    /// # Errors
    /// `Unsupported` if the rows cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<Vec<u8>> {
        self.writer.write(rows).map_err(|error| no_form(&error))?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush().map_err(|error| no_form(&error))?;
        }
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The rest of the file. Nothing can be added after it.
    ///
    /// # Errors
    /// `Unsupported` if the last rows cannot be written.
    pub fn finish(&mut self) -> Result<Vec<u8>> {
        self.writer.finish().map_err(|error| no_form(&error))?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

fn no_form(error: &ParquetError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the rows have no Parquet form: {error}"))
}

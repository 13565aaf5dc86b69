//! From Arrow batches to `DataRow` messages and `COPY` lines.
//!
//! A batch becomes [`Rows`]: every column is brought to one of a small set of layouts and downcast
//! once. After that a cell is written by one `match`, straight into the connection's output buffer.

mod array;
mod binary;
mod column;
mod copy;
mod float;
mod numeric;
mod temporal;
mod text;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use latentdb_engine::{Error, ErrorKind, Result};
use pgwire::api::Type;
use pgwire::messages::data::{FieldDescription, MESSAGE_TYPE_BYTE_DATA_ROW};

pub(super) use copy::CopyEncoder;

use self::column::Column;
pub(super) use self::temporal::{EPOCH_DAYS, EPOCH_MICROS};
use super::types;

/// Most columns a result may have, as in Postgres.
const MAX_COLUMNS: usize = 1664;

/// How a column's values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As text.
    Text,
    /// In the type's binary form.
    Binary,
}

impl Format {
    /// Reads a format code of the protocol.
    pub(super) fn from_code(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(Error::new(ErrorKind::InvalidValue, format!("unsupported format code: {other}"))),
        }
    }

    /// The format of each of `count` columns: no code means text, one code holds for all.
    pub(super) fn for_columns(codes: &[i16], count: usize) -> Result<Vec<Self>> {
        match codes {
            [] => Ok(vec![Self::Text; count]),
            [code] => Ok(vec![Self::from_code(*code)?; count]),
            codes if codes.len() == count => codes.iter().map(|code| Self::from_code(*code)).collect(),
            codes => Err(Error::new(
                ErrorKind::InvalidValue,
                format!("bind message has {} format codes for {count} columns", codes.len()),
            )),
        }
    }

    fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// What text output depends on besides the value: the session's settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Zone in which `timestamptz` is shown; `None` for UTC.
    pub zone: Option<Tz>,
}

impl Style {
    /// The style for a `TimeZone` setting; UTC if the zone is not known here.
    pub(super) fn with_zone(zone: Option<&str>) -> Self {
        Self { zone: zone.and_then(|name| name.parse().ok()) }
    }
}

/// Rows of one batch, ready to be written, and how many of them have been.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Column>,
    len: usize,
    next: usize,
}

impl Rows {
    /// Prepares `batch`, whose columns were announced as `announced`. A column that came out with
    /// another type than was announced is cast to it: the client decodes by what it was told.
    pub(super) fn new(batch: &RecordBatch, announced: &SchemaRef) -> Result<Self> {
        if batch.num_columns() != announced.fields().len() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("{} columns were announced and {} came", announced.fields().len(), batch.num_columns()),
            ));
        }
        let columns = batch
            .columns()
            .iter()
            .zip(announced.fields())
            .map(|(array, field)| Column::new(array, field))
            .collect::<Result<_>>()?;
        Ok(Self { columns, len: batch.num_rows(), next: 0 })
    }

    /// Rows not yet taken.
    pub(super) fn remaining(&self) -> usize {
        self.len - self.next
    }

    /// Passes over up to `count` rows; answers how many.
    pub(super) fn skip(&mut self, count: usize) -> usize {
        let skipped = count.min(self.remaining());
        self.next += skipped;
        skipped
    }
}

/// Writes rows as `DataRow` messages.
#[derive(Debug, Clone)]
pub(super) struct RowEncoder {
    formats: Vec<Format>,
    style: Style,
}

impl RowEncoder {
    /// An encoder for columns in `formats`.
    pub(super) fn new(formats: Vec<Format>, style: Style) -> Self {
        Self { formats, style }
    }

    /// Appends up to `max_rows` messages to `out`, stopping early once it holds `full` bytes.
    /// Answers how many rows were written.
    pub(super) fn encode(&self, rows: &mut Rows, max_rows: usize, full: usize, out: &mut BytesMut) -> usize {
        let first = rows.next;
        let end = first + max_rows.min(rows.remaining());
        while rows.next < end && out.len() < full {
            self.encode_row(&rows.columns, rows.next, out);
            rows.next += 1;
        }
        rows.next - first
    }

    fn encode_row(&self, columns: &[Column], row: usize, out: &mut BytesMut) {
        out.put_u8(MESSAGE_TYPE_BYTE_DATA_ROW);
        with_length(out, true, |out| {
            out.put_u16(columns.len() as u16);
            for (column, format) in columns.iter().zip(&self.formats) {
                if column.is_null(row) {
                    out.put_i32(-1);
                    continue;
                }
                with_length(out, false, |out| match format {
                    Format::Text => text::write(column, row, &self.style, out),
                    Format::Binary => binary::write(column, row, out),
                });
            }
        });
    }
}

/// Writes a four-byte length and then what `write` appends; the length counts itself if `inclusive`.
fn with_length(out: &mut BytesMut, inclusive: bool, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    write(out);
    let length = out.len() - start - if inclusive { 0 } else { 4 };
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&(length as i32).to_be_bytes());
    }
}

/// The `RowDescription` of `schema`, its columns in `formats` (text where `None`).
pub(super) fn describe(schema: &SchemaRef, formats: Option<&[Format]>) -> Result<Vec<FieldDescription>> {
    if schema.fields().len() > MAX_COLUMNS {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("a result can have at most {MAX_COLUMNS} columns, this one has {}", schema.fields().len()),
        ));
    }
    let describe_field = |(position, field): (usize, &FieldRef)| {
        let pg_type: Type = types::of_field(field);
        let format = formats.and_then(|formats| formats.get(position)).map_or(Format::Text, |format| *format);
        FieldDescription::new(
            field.name().clone(),
            0,
            0,
            pg_type.oid(),
            types::size(&pg_type),
            types::modifier(field.data_type()),
            format.code(),
        )
    };
    Ok(schema.fields().iter().enumerate().map(describe_field).collect())
}

/// Whether values of `data_type` need no quotes inside an array literal, whatever they are.
fn is_bare_in_arrays(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Date32 | DataType::Time64(_))
}

#[cfg(test)]
mod tests;

//! `COPY … TO STDOUT`: rows as lines of text or CSV, one line to a `CopyData` message.

use arrow::datatypes::SchemaRef;
use bytes::{BufMut, BytesMut};
use latentdb_engine::{CopyFormat, CopyOptions};
use pgwire::messages::copy::MESSAGE_TYPE_BYTE_COPY_DATA;

use super::{Rows, Style, binary, text, with_length};

/// First bytes of the binary format.
const BINARY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Writes rows as `CopyData` messages.
#[derive(Debug)]
pub(in crate::pg) struct CopyEncoder {
    options: CopyOptions,
    style: Style,
    value: BytesMut,
    /// Whether the binary signature still has to go out. Clients take the first message to hold it and the
    /// first row, because Postgres sends them together.
    owes_signature: bool,
}

impl CopyEncoder {
    /// An encoder for lines laid out as `options` say.
    pub(in crate::pg) fn new(options: CopyOptions, style: Style) -> Self {
        let owes_signature = options.format == CopyFormat::Binary;
        Self { options, style, value: BytesMut::new(), owes_signature }
    }

    /// Whether rows are written in Postgres' binary format.
    pub(in crate::pg) fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// Appends what ends the rows.
    pub(in crate::pg) fn trailer(&mut self, out: &mut BytesMut) {
        if self.is_binary() {
            out.put_u8(MESSAGE_TYPE_BYTE_COPY_DATA);
            with_length(out, true, |out| {
                self.put_signature(out);
                out.put_i16(-1);
            });
        }
    }

    /// Appends the binary signature, once.
    fn put_signature(&mut self, out: &mut BytesMut) {
        if std::mem::take(&mut self.owes_signature) {
            out.put_slice(BINARY_SIGNATURE);
            // Flags, and the length of a header extension.
            out.put_i32(0);
            out.put_i32(0);
        }
    }

    /// A row of the binary format: the number of its fields, then each with its length, -1 for null.
    fn encode_binary_row(&mut self, rows: &Rows, out: &mut BytesMut) {
        out.put_u8(MESSAGE_TYPE_BYTE_COPY_DATA);
        with_length(out, true, |out| {
            self.put_signature(out);
            out.put_i16(rows.columns.len() as i16);
            for column in &rows.columns {
                match column.is_null(rows.next) {
                    true => out.put_i32(-1),
                    false => with_length(out, false, |out| binary::write(column, rows.next, out)),
                }
            }
        });
    }

    /// Appends the line of column names, if the options ask for one.
    pub(in crate::pg) fn header(&mut self, schema: &SchemaRef, out: &mut BytesMut) {
        if self.is_binary() || !self.options.header {
            return;
        }
        out.put_u8(MESSAGE_TYPE_BYTE_COPY_DATA);
        with_length(out, true, |out| {
            for (position, field) in schema.fields().iter().enumerate() {
                if position > 0 {
                    out.put_u8(self.options.delimiter);
                }
                self.put_value(field.name().as_bytes(), schema.fields().len() == 1, out);
            }
            out.put_u8(b'\n');
        });
    }

    /// Appends lines until `rows` is used up or `out` holds `full` bytes; answers how many.
    pub(in crate::pg) fn encode(&mut self, rows: &mut Rows, full: usize, out: &mut BytesMut) -> usize {
        let first = rows.next;
        let is_binary = self.is_binary();
        while rows.next < rows.len && out.len() < full {
            match is_binary {
                true => self.encode_binary_row(rows, out),
                false => self.encode_row(rows, out),
            }
            rows.next += 1;
        }
        rows.next - first
    }

    fn encode_row(&mut self, rows: &Rows, out: &mut BytesMut) {
        let mut value = std::mem::take(&mut self.value);
        out.put_u8(MESSAGE_TYPE_BYTE_COPY_DATA);
        with_length(out, true, |out| {
            for (position, column) in rows.columns.iter().enumerate() {
                if position > 0 {
                    out.put_u8(self.options.delimiter);
                }
                if column.is_null(rows.next) {
                    out.put_slice(self.options.null.as_bytes());
                    continue;
                }
                value.clear();
                text::write(column, rows.next, &self.style, &mut value);
                self.put_value(&value, rows.columns.len() == 1, out);
            }
            out.put_u8(b'\n');
        });
        self.value = value;
    }

    fn put_value(&self, value: &[u8], only: bool, out: &mut BytesMut) {
        match self.options.format {
            // Binary values are never written as text.
            CopyFormat::Text | CopyFormat::Binary => self.put_escaped(value, out),
            CopyFormat::Csv => self.put_quoted(value, only, out),
        }
    }

    fn put_escaped(&self, value: &[u8], out: &mut BytesMut) {
        for byte in value {
            let letter = match byte {
                b'\\' => b'\\',
                b'\x08' => b'b',
                b'\x0c' => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                b'\x0b' => b'v',
                byte if *byte == self.options.delimiter => *byte,
                byte => {
                    out.put_u8(*byte);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(letter);
        }
    }

    fn put_quoted(&self, value: &[u8], only: bool, out: &mut BytesMut) {
        let CopyOptions { delimiter, quote, escape, ref null, .. } = self.options;
        let special = |byte: &u8| matches!(*byte, b'\n' | b'\r') || *byte == delimiter || *byte == quote;
        // A value that reads like null must not be taken for it, nor a lone `\.` for the end of the data.
        let mistakable = value == null.as_bytes() || (only && value == b"\\.");
        if !mistakable && !value.iter().any(special) {
            out.put_slice(value);
            return;
        }
        out.put_u8(quote);
        for byte in value {
            if *byte == quote || *byte == escape {
                out.put_u8(escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(quote);
    }
}

//! Rows as a response body: encoded as they are produced, in flat memory.
//!
//! A body that ends well is complete. If the statement fails after the status line has gone out, the
//! body says so and the connection is then cut, so that nobody can take what came for all there was:
//! - JSON: an `error` member is begun in place of further rows and the document is left unclosed;
//! - NDJSON: the last line is `{"error": {…}}`;
//! - Arrow: the stream has no end-of-stream marker;
//! - Parquet: the file has no footer, so no reader opens it.

use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use latentdb_engine::{Error, ErrorKind, ParquetBytes, Result, RowStream, Session};

use super::error::error_body;
use super::negotiate::Format;
use crate::json::{RowShape, type_name, write_rows};

/// Size of the pieces that are encoded without letting other tasks run.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long the last words of a failed answer get to leave before the connection is cut.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Answers `rows` in `format`. Waits for the first batch, so that a statement that fails at once is
/// answered with a proper status.
pub(super) async fn answer_rows(session: Session, rows: RowStream, format: Format) -> Result<Response> {
    let mut encoder = Encoder::new(format, &rows)?;
    let mut first = encoder.begin()?;
    let mut body = RowBody { _session: session, rows, encoder, batch: None, offset: 0, state: State::Rows };
    // The first piece rides with the head of the document: small answers are one write.
    if let Some(piece) = body.next_piece().await? {
        first.extend_from_slice(&piece);
    }
    let first = stream::once(async move { Ok::<_, Error>(Bytes::from(first)) });
    let rest = stream::unfold(body, |mut body| async move {
        let piece = body.next().await?;
        Some((piece, body))
    });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    Ok(([(header::CONTENT_TYPE, format.media_type())], body).into_response())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Rows,
    Failing,
    Ended,
}

struct RowBody {
    /// Kept to the end: the session shows in `pg_stat_activity` for as long as its rows are read.
    _session: Session,
    rows: RowStream,
    encoder: Encoder,
    /// The batch that is being written, and how far.
    batch: Option<RecordBatch>,
    offset: usize,
    state: State,
}

impl RowBody {
    /// The next piece of the body; an error cuts the connection.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        match self.state {
            State::Rows => {}
            State::Failing => {
                tokio::time::sleep(LAST_WORDS).await;
                self.state = State::Ended;
                return Some(Err(Error::new(ErrorKind::Internal, "the statement failed while its rows were sent")));
            }
            State::Ended => return None,
        }
        match self.next_piece().await {
            Ok(piece) => piece.map(|piece| Ok(Bytes::from(piece))),
            Err(error) => {
                tracing::warn!(sqlstate = error.sqlstate(), %error, "a statement failed while its rows were sent");
                self.state = State::Failing;
                Some(Ok(Bytes::from(self.encoder.fail(&error))))
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Vec<u8>>> {
        if self.state == State::Ended {
            return Ok(None);
        }
        loop {
            match self.batch.take() {
                Some(batch) if self.offset < batch.num_rows() => {
                    let length = rows_per_piece(&batch).min(batch.num_rows() - self.offset);
                    let piece = self.encoder.rows(&batch.slice(self.offset, length))?;
                    self.offset += length;
                    self.batch = Some(batch);
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                _ => {
                    self.offset = 0;
                    self.batch = self.rows.next().await.transpose()?;
                    if self.batch.is_none() {
                        self.state = State::Ended;
                        return self.encoder.end().map(Some);
                    }
                }
            }
        }
    }
}

fn rows_per_piece(batch: &RecordBatch) -> usize {
    let bytes_per_row = (batch.get_array_memory_size() / batch.num_rows().max(1)).max(1);
    (CHUNK_BYTES / bytes_per_row).clamp(1, 8192)
}

enum Encoder {
    Json { head: Vec<u8>, rows: u64 },
    Ndjson,
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ParquetBytes>),
}

impl Encoder {
    fn new(format: Format, rows: &RowStream) -> Result<Self> {
        Ok(match format {
            Format::Json => {
                let columns: Vec<_> = rows
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| serde_json::json!({"name": field.name(), "type": type_name(field.data_type())}))
                    .collect();
                let head = format!("{{\"columns\":{},\"rows\":[", serde_json::Value::from(columns));
                Self::Json { head: head.into_bytes(), rows: 0 }
            }
            Format::Ndjson => Self::Ndjson,
            Format::Arrow => {
                Self::Arrow(Box::new(StreamWriter::try_new(Vec::new(), rows.schema()).map_err(|e| no_ipc(&e))?))
            }
            Format::Parquet => Self::Parquet(Box::new(ParquetBytes::new(rows.schema())?)),
        })
    }

    fn begin(&mut self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Json { head, .. } => std::mem::take(head),
            Self::Ndjson | Self::Parquet(_) => Vec::new(),
            Self::Arrow(writer) => std::mem::take(writer.get_mut()),
        })
    }

    /// What can be sent of a piece of the rows, and of those before it; perhaps nothing yet.
    fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Json { rows, .. } => {
                let continues = *rows > 0;
                write_rows(batch, RowShape::Array, &mut out, |first, out| {
                    if continues || !first {
                        out.push(b',');
                    }
                })?;
                *rows += batch.num_rows() as u64;
            }
            Self::Ndjson => {
                write_rows(batch, RowShape::Object, &mut out, |first, out| {
                    if !first {
                        out.push(b'\n');
                    }
                })?;
                out.push(b'\n');
            }
            Self::Arrow(writer) => {
                writer.write(batch).map_err(|error| no_ipc(&error))?;
                out = std::mem::take(writer.get_mut());
            }
            Self::Parquet(file) => out = file.write(batch)?,
        }
        Ok(out)
    }

    fn end(&mut self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Json { rows, .. } => format!("],\"row_count\":{rows}}}").into_bytes(),
            Self::Ndjson => Vec::new(),
            Self::Arrow(writer) => {
                writer.finish().map_err(|error| no_ipc(&error))?;
                std::mem::take(writer.get_mut())
            }
            Self::Parquet(file) => file.finish()?,
        })
    }

    fn fail(&mut self, error: &Error) -> Vec<u8> {
        let body = error_body(error);
        match self {
            Self::Json { .. } => format!("],\"error\":{body}").into_bytes(),
            Self::Ndjson => format!("{{\"error\":{body}}}\n").into_bytes(),
            Self::Arrow(_) | Self::Parquet(_) => Vec::new(),
        }
    }
}

fn no_ipc(error: &arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the rows have no Arrow IPC form: {error}"))
}

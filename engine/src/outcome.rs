//! What a statement gives back, whatever the transport: the wire server, HTTP and the command line
//! all read these types.

use std::fmt;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::{Error, Result};

/// What running one statement came to.
#[derive(Debug)]
pub enum Outcome {
    /// Rows to read. `command` is the tag's word: `SELECT`, `SHOW`, `EXPLAIN`, `CALL`.
    Rows {
        /// First word of the command tag.
        command: &'static str,
        /// The rows, produced as they are read.
        rows: RowStream,
    },
    /// A statement that changed `rows` rows: `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `COPY`.
    Changed {
        /// First word of the command tag.
        command: &'static str,
        /// Rows inserted, updated, deleted or copied.
        rows: u64,
    },
    /// A statement with nothing to count: `CREATE TABLE`, `SET`, `BEGIN`. `notice` is for the user to read.
    Done {
        /// The whole command tag.
        command: &'static str,
        /// A warning or remark that clients show.
        notice: Option<String>,
    },
    /// `COPY … FROM STDIN`: the caller feeds bytes and finishes or aborts.
    CopyIn(CopyIn),
    /// `COPY … TO STDOUT`: the caller encodes the rows as `options` say.
    CopyOut(CopyOut),
}

/// Where a session stands between `BEGIN` and `COMMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction is open.
    Idle,
    /// A transaction is open.
    Open,
    /// A transaction is open and a statement in it failed.
    Failed,
}

/// Rows of a running statement. Dropping it stops the statement.
pub struct RowStream {
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch>>,
}

impl RowStream {
    /// Rows of `schema` from `batches`.
    pub fn new(schema: SchemaRef, batches: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Self { schema, batches }
    }

    /// Columns of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch; `None` at the end. Batches may be empty.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.batches.next().await
    }

    /// All rows at once, for results known to be small.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.batches.try_collect().await
    }

    /// The batches as a stream.
    pub fn into_stream(self) -> BoxStream<'static, Result<RecordBatch>> {
        self.batches
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Text format of a `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// Postgres' own text format: tabs, `\N` for null, backslash escapes.
    Text,
    /// Comma-separated values.
    Csv,
    /// Postgres' binary format: values as in binary results. Only out, not in.
    Binary,
}

/// How the bytes of a `COPY` are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Text or CSV.
    pub format: CopyFormat,
    /// A first line of column names.
    pub header: bool,
    /// Column separator.
    pub delimiter: u8,
    /// What stands for null.
    pub null: String,
    /// CSV quote.
    pub quote: u8,
    /// CSV escape within quotes.
    pub escape: u8,
}

impl CopyOptions {
    /// Postgres' defaults for `format`.
    pub fn new(format: CopyFormat) -> Self {
        match format {
            CopyFormat::Text | CopyFormat::Binary => {
                Self { format, header: false, delimiter: b'\t', null: "\\N".into(), quote: b'"', escape: b'"' }
            }
            CopyFormat::Csv => {
                Self { format, header: false, delimiter: b',', null: String::new(), quote: b'"', escape: b'"' }
            }
        }
    }
}

/// A `COPY … TO STDOUT` under way.
#[derive(Debug)]
pub struct CopyOut {
    /// Rows to encode.
    pub rows: RowStream,
    /// How to encode them.
    pub options: CopyOptions,
}

/// Takes the decoded rows of a `COPY … FROM STDIN` and commits them as one.
pub(crate) trait CopySink: Send {
    /// Takes the next piece of input, cut anywhere.
    fn write(&mut self, bytes: Bytes) -> futures::future::BoxFuture<'_, Result<()>>;
    /// Commits; answers the number of rows.
    fn finish(self: Box<Self>) -> futures::future::BoxFuture<'static, Result<u64>>;
}

/// A `COPY … FROM STDIN` under way. Dropping it leaves nothing behind.
pub struct CopyIn {
    columns: usize,
    options: CopyOptions,
    sink: Box<dyn CopySink>,
}

impl CopyIn {
    pub(crate) fn new(columns: usize, options: CopyOptions, sink: Box<dyn CopySink>) -> Self {
        Self { columns, options, sink }
    }

    /// Number of columns expected on each line.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How the input is laid out.
    pub fn options(&self) -> &CopyOptions {
        &self.options
    }

    /// Takes the next piece of input; it may end in the middle of a line.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.sink.write(bytes).await
    }

    /// The input is complete: commits all of it and answers the number of rows.
    pub async fn finish(self) -> Result<u64> {
        self.sink.finish().await
    }
}

impl fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyIn").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Outcome {
    /// The rows of a statement that gives rows; an error for one that does not.
    pub fn into_rows(self) -> Result<RowStream> {
        match self {
            Outcome::Rows { rows, .. } => Ok(rows),
            other => Err(Error::new(
                crate::ErrorKind::InvalidValue,
                format!("the statement gives no rows ({})", other.command()),
            )),
        }
    }

    /// First words of the command tag.
    pub fn command(&self) -> &'static str {
        match self {
            Outcome::Rows { command, .. } | Outcome::Changed { command, .. } | Outcome::Done { command, .. } => command,
            Outcome::CopyIn(_) | Outcome::CopyOut(_) => "COPY",
        }
    }
}

//! How `latentdb sql` prints rows: a table for people, CSV, JSON and NDJSON for programs.
//!
//! Rows are printed as they come, a batch at a time. Lists are shortened and long rows folded on a
//! terminal only: what a program reads is complete.

mod cells;
mod csv;
mod table;

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use latentdb_engine::RowStream;

use super::CliResult;
use crate::json::{RowShape, write_rows};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Columns side by side, for people
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One array of objects
    Json,
    /// An object on each line
    Ndjson,
    /// Comma-separated values alone.
    #[value(skip)]
    CsvRows,
}

/// What the output looks like to whom it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Columns of the terminal; `None` if it is none.
    pub(super) terminal_width: Option<u16>,
}

impl Style {
    /// Output for programs: nothing shortened.
    pub(super) fn plain() -> Self {
        Self { terminal_width: None }
    }

    /// The style that suits standard output.
    pub(super) fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::plain();
        }
        let (_, width) = console::Term::stdout().size();
        Self { terminal_width: Some(width) }
    }

    fn is_terminal(&self) -> bool {
        self.terminal_width.is_some()
    }
}

/// Prints `rows` to standard output and answers how many there were.
pub(super) async fn print_rows(rows: RowStream, format: OutputFormat, style: &Style) -> CliResult<u64> {
    match format {
        OutputFormat::Table => table::print(rows, style).await,
        OutputFormat::Csv => csv::print(rows, true).await,
        OutputFormat::CsvRows => csv::print(rows, false).await,
        OutputFormat::Json => print_json(rows).await,
        OutputFormat::Ndjson => print_ndjson(rows).await,
    }
}

async fn print_json(mut rows: RowStream) -> CliResult<u64> {
    let mut count = 0;
    let mut out = vec![b'['];
    while let Some(batch) = rows.next().await.transpose()? {
        let continues = count > 0;
        write_rows(&batch, RowShape::Object, &mut out, |first, out| {
            out.extend_from_slice(if continues || !first { b",\n" } else { b"\n" });
        })?;
        count += batch.num_rows() as u64;
        emit(&mut out)?;
    }
    out.extend_from_slice(if count > 0 { b"\n]\n" } else { b"]\n" });
    emit(&mut out)?;
    Ok(count)
}

async fn print_ndjson(mut rows: RowStream) -> CliResult<u64> {
    let mut count = 0;
    let mut out = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        write_rows(&batch, RowShape::Object, &mut out, |first, out| {
            if !first {
                out.push(b'\n');
            }
        })?;
        if batch.num_rows() > 0 {
            out.push(b'\n');
        }
        count += batch.num_rows() as u64;
        emit(&mut out)?;
    }
    Ok(count)
}

/// Writes `out` to standard output and empties it.
fn emit(out: &mut Vec<u8>) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(out)?;
    out.clear();
    Ok(())
}

//! Running statements and printing what comes of them: for one-off SQL, files and the prompt alike.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use latentdb_engine::{CopyFormat, CopyOptions, CopyOut, Error, ErrorKind, Outcome, Result, Session, Statement};

use super::format::{self, OutputFormat, Style};
use super::{CliResult, print_notice};

/// Prints results in one format.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    pub(super) format: OutputFormat,
    pub(super) style: Style,
    /// Print row counts and times, on standard error.
    pub(super) verbose: bool,
}

impl Printer {
    /// A printer that suits what standard output and standard error are.
    pub(super) fn new(format: OutputFormat) -> Self {
        Self { format, style: Style::of_stdout(), verbose: std::io::stderr().is_terminal() }
    }

    /// Runs the statements of `sql` one after the other and prints each one's result. Ctrl-C cancels
    /// the one that is running.
    pub(super) async fn run_all(&self, session: &Session, sql: &str) -> CliResult {
        for statement in session.parse(sql)? {
            self.run(session, &statement).await?;
        }
        Ok(())
    }

    async fn run(&self, session: &Session, statement: &Statement) -> CliResult {
        let work = async {
            let started = Instant::now();
            let outcome = session.run(statement).await?;
            self.print(outcome, started).await
        };
        tokio::pin!(work);
        tokio::select! {
            outcome = &mut work => return outcome,
            _ = tokio::signal::ctrl_c() => session.cancel(),
        }
        // The statement ends with an error of its own, which says that it was cancelled; a second
        // Ctrl-C does not wait for that.
        tokio::select! {
            outcome = work => outcome,
            _ = tokio::signal::ctrl_c() => Err(Error::cancelled().into()),
        }
    }

    async fn print(&self, outcome: Outcome, started: Instant) -> CliResult {
        match outcome {
            Outcome::Rows { rows, .. } => {
                let count = format::print_rows(rows, self.format, &self.style).await?;
                self.remark(&format!("({count} {}, {})", plural(count, "row"), readable(started.elapsed())));
            }
            Outcome::Changed { command, rows } => {
                self.remark(&format!("{command} {rows} ({})", readable(started.elapsed())));
            }
            Outcome::Done { command, notice } => {
                if let Some(notice) = notice {
                    print_notice(&notice);
                }
                self.remark(command);
            }
            Outcome::CopyIn(_) => {
                return Err(Error::new(ErrorKind::Unsupported, "COPY … FROM STDIN needs a connection to a server")
                    .with_hint("run `latentdb serve` and use psql, or COPY … FROM a file")
                    .into());
            }
            Outcome::CopyOut(copy) => {
                let rows = copy_format(&copy)?;
                format::print_rows(copy.rows, rows, &Style::plain()).await?;
            }
        }
        std::io::stdout().flush()?;
        Ok(())
    }

    fn remark(&self, text: &str) {
        if self.verbose {
            eprintln!("{text}");
        }
    }
}

/// `COPY … TO STDOUT` prints CSV as `--format csv` does; Postgres' own text format is for its clients.
fn copy_format(copy: &CopyOut) -> Result<OutputFormat> {
    let with_header = CopyOptions { header: true, ..CopyOptions::new(CopyFormat::Csv) };
    let without_header = CopyOptions::new(CopyFormat::Csv);
    if copy.options == with_header {
        Ok(OutputFormat::Csv)
    } else if copy.options == without_header {
        Ok(OutputFormat::CsvRows)
    } else {
        Err(Error::new(ErrorKind::Unsupported, "here, COPY … TO STDOUT writes plain CSV only")
            .with_hint("write COPY … TO STDOUT (FORMAT csv, HEADER), or use --format"))
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

fn readable(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) {
        format!("{:.1} ms", elapsed.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", elapsed.as_secs_f64())
    }
}

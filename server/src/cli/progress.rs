//! Progress: bars on a terminal, a plain line now and then in a pipe. Always on standard error.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use latentdb_datasets::{Phase, Progress};
use latentdb_udfs::Downloads;

/// Time between the lines of a pipe.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How a long piece of work is shown.
#[derive(Debug)]
pub(super) enum Shown {
    Bar(Bar),
    Lines(Lines),
}

impl Shown {
    /// What suits standard error.
    pub(super) fn on_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Bar(Bar::new()) } else { Self::Lines(Lines::new()) }
    }
}

impl Shown {
    fn begin_part(&self, title: String, total_bytes: Option<u64>) {
        match self {
            Self::Bar(bar) => bar.begin(title, total_bytes),
            Self::Lines(lines) => lines.begin(title, total_bytes),
        }
    }

    fn advance_part(&self, rows: u64, bytes: u64) {
        match self {
            Self::Bar(bar) => bar.advance(rows, bytes),
            Self::Lines(lines) => lines.advance(rows, bytes),
        }
    }
}

impl Downloads for Shown {
    fn begin(&self, place: &str, file: &str, bytes: u64) {
        self.begin_part(format!("fetching {file} of {place}"), Some(bytes));
    }

    fn advance(&self, bytes: u64) {
        self.advance_part(0, bytes);
    }
}

impl Progress for Shown {
    fn begin(&self, phase: Phase, subject: &str, total_bytes: Option<u64>) {
        self.begin_part(format!("{phase} {subject}"), total_bytes);
    }

    fn advance(&self, rows: u64, bytes: u64) {
        self.advance_part(rows, bytes);
    }

    fn note(&self, message: &str) {
        match self {
            Self::Bar(bar) => bar.bar.println(format!("notice: {message}")),
            Self::Lines(_) => super::print_notice(message),
        }
    }
}

/// A bar over the input's bytes, with rows beside it.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    rows: AtomicU64,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, rows: AtomicU64::new(0) }
    }

    fn begin(&self, title: String, total_bytes: Option<u64>) {
        let template = match total_bytes {
            Some(_) => "{spinner} {prefix} [{bar:30}] {bytes}/{total_bytes} {eta} {msg}",
            None => "{spinner} {prefix} {elapsed} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸ "));
        }
        self.rows.store(0, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_length(total_bytes.unwrap_or_default());
        self.bar.set_prefix(title);
        self.bar.set_message("");
    }

    fn advance(&self, rows: u64, bytes: u64) {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        self.bar.inc(bytes);
        if rows > 0 {
            self.bar.set_message(format!("{rows} rows"));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line at the start of each phase, and one every few seconds.
#[derive(Debug)]
pub(super) struct Lines {
    state: Mutex<LineState>,
}

#[derive(Debug)]
struct LineState {
    title: String,
    total_bytes: Option<u64>,
    rows: u64,
    bytes: u64,
    printed: Instant,
}

impl Lines {
    fn new() -> Self {
        let state = LineState { title: String::new(), total_bytes: None, rows: 0, bytes: 0, printed: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    fn begin(&self, title: String, total_bytes: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("{title}");
        *state = LineState { title, total_bytes, rows: 0, bytes: 0, printed: Instant::now() };
    }

    fn advance(&self, rows: u64, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rows += rows;
        state.bytes += bytes;
        if state.printed.elapsed() >= LINE_INTERVAL {
            state.printed = Instant::now();
            let share = state.total_bytes.filter(|total| *total > 0).map(|total| state.bytes * 100 / total);
            let share = share.map_or_else(String::new, |percent| format!(", {percent} %"));
            let rows = if state.rows > 0 { format!("{} rows", state.rows) } else { format!("{} bytes", state.bytes) };
            eprintln!("{}: {rows}{share}", state.title);
        }
    }
}

/// A number of steps, known once the first is taken: a bar on a terminal, nothing in a pipe.
pub(super) struct Steps {
    bar: ProgressBar,
}

impl Steps {
    pub(super) fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {msg}") {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self { bar }
    }

    /// `done` of `total` steps are taken; `next` is the one that comes.
    pub(super) fn step(&self, next: &str, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(next.to_owned());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

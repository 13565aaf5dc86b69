//! Progress: bars on a terminal, a plain line now and then in a pipe. Always on standard error.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use latentdb_datasets::{Phase, Progress};
use latentdb_udfs::{Downloads, Stage, Stages};

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

impl Stages for Shown {
    fn begin(&self, stage: Stage, done: u64, total: u64) {
        match self {
            Self::Bar(bar) => bar.begin_counted(stage.to_string(), done, total),
            Self::Lines(lines) => lines.begin_counted(stage.to_string(), done, total),
        }
    }

    fn advance(&self, done: u64) {
        self.advance_part(0, done);
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
        self.begin_as(template, title, total_bytes);
    }

    /// Begins a part that is counted in something else than bytes; `total` is 0 if nobody knows it.
    fn begin_counted(&self, title: String, done: u64, total: u64) {
        let template = match total {
            0 => "{spinner} {prefix} {elapsed}",
            _ => "{spinner} {prefix} [{bar:30}] {pos}/{len} {eta} left",
        };
        self.begin_as(template, title, Some(total));
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    fn begin_as(&self, template: &str, title: String, total: Option<u64>) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸ "));
        }
        self.rows.store(0, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_length(total.unwrap_or_default());
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
    /// Whether what is done is counted in bytes.
    in_bytes: bool,
    total: Option<u64>,
    rows: u64,
    done: u64,
    started: Instant,
    printed: Instant,
}

impl Lines {
    fn new() -> Self {
        Self { state: Mutex::new(LineState::new(String::new(), true, None)) }
    }

    fn begin(&self, title: String, total_bytes: Option<u64>) {
        self.begin_as(LineState::new(title, true, total_bytes));
    }

    fn begin_counted(&self, title: String, done: u64, total: u64) {
        self.begin_as(LineState { done, ..LineState::new(title, false, Some(total)) });
    }

    fn begin_as(&self, begun: LineState) {
        eprintln!("{}", begun.title);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    fn advance(&self, rows: u64, done: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rows += rows;
        state.done += done;
        if state.printed.elapsed() >= LINE_INTERVAL {
            state.printed = Instant::now();
            eprintln!("{}", state.line());
        }
    }
}

impl LineState {
    fn new(title: String, in_bytes: bool, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self { title, in_bytes, total, rows: 0, done: 0, started: now, printed: now }
    }

    fn line(&self) -> String {
        let total = self.total.filter(|total| *total > 0);
        let share = total.map_or_else(String::new, |total| format!(", {} %", self.done * 100 / total));
        let left = match total {
            Some(total) if !self.in_bytes && self.done > 0 && self.done < total => {
                let per_one = self.started.elapsed().as_secs_f64() / self.done as f64;
                format!(", about {:.0} s left", per_one * (total - self.done) as f64)
            }
            _ => String::new(),
        };
        let counted = match (self.rows, self.in_bytes) {
            (0, true) => format!("{} bytes", self.done),
            (0, false) => format!("{} of {}", self.done, self.total.unwrap_or_default()),
            (rows, _) => format!("{rows} rows"),
        };
        format!("{}: {counted}{share}{left}", self.title)
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

//! What a caller wants of forward passes: values at points, and what to make of them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use candle_core::Tensor;

use super::tap::cancelled;
use crate::model::{Batch, LogitRows, Model};
use crate::{Error, ErrorKind, Point, Result};

/// The values a pass reads.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Points whose values are kept.
    pub points: Vec<Point>,
    /// Whether logits are computed, and for which rows.
    pub logits: Option<LogitRows>,
}

impl Wants {
    /// Wants the values at `points`, and no logits.
    pub fn points(points: impl IntoIterator<Item = Point>) -> Self {
        Self { points: points.into_iter().collect(), logits: None }
    }
}

/// Work on a number of prompts, done while the model runs.
pub trait Pass: Send + 'static {
    /// What it comes to.
    type Answer: Send + 'static;

    /// The values it reads.
    fn wants(&self) -> Wants;

    /// Reads the values of some of its prompts: the next ones, in order. Every prompt is read once.
    ///
    /// # Errors
    /// Ends this pass alone; others in the batch go on.
    fn read(&mut self, parts: &Parts<'_>) -> Result<()>;

    /// The answer, after the last prompt.
    ///
    /// # Errors
    /// If what was read cannot be made into an answer.
    fn finish(self) -> Result<Self::Answer>;
}

/// The part of a batch that belongs to one pass: the rows of some prompts, next to each other.
#[derive(Clone)]
pub struct Parts<'a> {
    pub(super) model: &'a Model,
    pub(super) batch: &'a Batch,
    pub(super) kept: &'a Kept,
    /// Which sequences of the batch they are.
    pub(super) sequences: Range<usize>,
    /// Which logits the pass asked for; another pass in the batch may have asked for more.
    pub(super) logits: Option<LogitRows>,
    /// Whether anybody still waits for the pass.
    pub(super) is_awaited: &'a dyn Fn() -> bool,
}

/// The part of a batch that belongs to one prompt of one pass.
#[derive(Debug)]
pub struct Part<'a> {
    pub(super) model: &'a Model,
    pub(super) batch: &'a Batch,
    pub(super) kept: &'a Kept,
    /// Which sequence of the batch it is.
    pub(super) sequence: usize,
    /// Rows of the batch that belong to it.
    pub(super) rows: Range<usize>,
    /// Which logits the pass asked for; another pass in the batch may have asked for more.
    pub(super) logits: Option<LogitRows>,
}

/// What the tap kept of a batch.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `[N, width]` by point.
    pub(super) values: HashMap<Point, Tensor>,
    /// `[H, T, T]` by point and sequence.
    pub(super) patterns: HashMap<(Point, usize), Tensor>,
    /// Logits, and which rows they are of.
    pub(super) logits: Option<(LogitRows, Tensor)>,
}

impl<'a> Parts<'a> {
    /// The model.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// Each prompt's part, in order.
    pub fn iter(&self) -> impl Iterator<Item = Part<'a>> {
        let (model, batch, kept, logits) = (self.model, self.batch, self.kept, self.logits);
        let of_batch = batch.sequences().iter().cloned().enumerate();
        let own = of_batch.skip(self.sequences.start).take(self.sequences.len());
        own.map(move |(sequence, rows)| Part { model, batch, kept, sequence, rows, logits })
    }

    /// Lets `read` see each prompt's part, as long as somebody waits for the answer.
    ///
    /// # Errors
    /// The first one of `read`; `Cancelled` if nobody waits any more.
    pub fn each(&self, mut read: impl FnMut(&Part<'_>) -> Result<()>) -> Result<()> {
        for part in self.iter() {
            self.check_awaited()?;
            read(&part)?;
        }
        Ok(())
    }

    /// The rows of each prompt, counted from the first one of these parts.
    pub fn sequences(&self) -> Vec<Range<usize>> {
        let first = self.rows().start;
        self.iter().map(|part| part.rows.start - first..part.rows.end - first).collect()
    }

    /// The values of all prompts at `point`, one after another: `[ΣT, width]`.
    ///
    /// # Errors
    /// If the model has no such point.
    pub fn value(&self, point: Point) -> Result<Tensor> {
        let all = self.kept.values.get(&point).ok_or_else(|| no_such_point(self.model, point))?;
        let rows = self.rows();
        Ok(all.narrow(0, rows.start, rows.len())?)
    }

    /// To be asked now and then in long work.
    ///
    /// # Errors
    /// `Cancelled` if nobody waits for the pass any more.
    pub fn check_awaited(&self) -> Result<()> {
        if (self.is_awaited)() { Ok(()) } else { Err(cancelled()) }
    }

    fn rows(&self) -> Range<usize> {
        let of_batch = self.batch.sequences().get(self.sequences.clone()).unwrap_or_default();
        of_batch.first().map_or(0, |rows| rows.start)..of_batch.last().map_or(0, |rows| rows.end)
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("sequences", &self.sequences).field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl Part<'_> {
    /// The model.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// Tokens of the prompt.
    pub fn tokens(&self) -> &[u32] {
        self.batch.tokens().get(self.rows.clone()).unwrap_or_default()
    }

    /// The values at `point`: `[T, width]`.
    ///
    /// # Errors
    /// If the model has no such point.
    pub fn value(&self, point: Point) -> Result<Tensor> {
        let all = self.kept.values.get(&point).ok_or_else(|| no_such_point(self.model, point))?;
        Ok(all.narrow(0, self.rows.start, self.rows.len())?)
    }

    /// Attention weights at `point`: `[H, T, T]`.
    ///
    /// # Errors
    /// If the model has no such point.
    pub fn pattern(&self, point: Point) -> Result<Tensor> {
        self.kept.patterns.get(&(point, self.sequence)).cloned().ok_or_else(|| no_such_point(self.model, point))
    }

    /// Logits: `[T, V]`, or `[1, V]` if only those of the last position are wanted.
    ///
    /// # Errors
    /// If the pass did not ask for them.
    pub fn logits(&self) -> Result<Tensor> {
        let (Some(wanted), Some((there, logits))) = (self.logits, &self.kept.logits) else {
            return Err(Error::new(ErrorKind::Internal, "a pass reads logits that it did not ask for"));
        };
        let (start, rows) = match (wanted, there) {
            (LogitRows::All, _) => (self.rows.start, self.rows.len()),
            (LogitRows::Last, LogitRows::All) => (self.rows.end.saturating_sub(1), 1),
            (LogitRows::Last, LogitRows::Last) => (self.sequence, 1),
        };
        Ok(logits.narrow(0, start, rows)?)
    }
}

fn no_such_point(model: &Model, point: Point) -> Error {
    let config = model.config();
    Error::new(ErrorKind::InvalidInput, format!("the model has no point {point}"))
        .with_hint(format!("its {} layers are counted from 0, and its family is {}", config.n_layers, config.family))
}

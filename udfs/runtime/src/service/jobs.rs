//! Passes that wait, or are being run: the model runs once for a batch of their prompts, and each reads its part.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use tokio::sync::oneshot;

use super::batching::{Seat, next_batch};
use super::pass::{Kept, Parts, Pass, Wants};
use super::tap::Keeper;
use crate::model::{Batch, LogitRows, Model, Until};
use crate::{Error, ErrorKind, Place, Point, Result};

/// A pass that waits, or is being run.
pub(super) struct Job {
    prompts: Vec<Vec<u32>>,
    /// How many of the prompts have been read.
    done: usize,
    wants: Wants,
    work: Box<dyn AnyWork>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("prompts", &self.prompts.len()).field("done", &self.done).finish_non_exhaustive()
    }
}

impl Job {
    /// A pass over `prompts`, with the one who waits for it.
    pub(super) fn new<P: Pass>(prompts: Vec<Vec<u32>>, pass: P, reply: oneshot::Sender<Result<P::Answer>>) -> Self {
        let wants = pass.wants();
        Self { prompts, done: 0, wants, work: Box::new(Work { pass: Some(pass), reply: Some(reply) }) }
    }

    pub(super) fn prompts(&self) -> &[Vec<u32>] {
        &self.prompts
    }

    pub(super) fn done(&self) -> usize {
        self.done
    }
}

/// A [`Pass`] of any kind, with the one who waits for it.
trait AnyWork: Send {
    fn is_awaited(&self) -> bool;
    /// Lets the pass read `parts`, whatever they say of who waits.
    fn read(&mut self, parts: &Parts<'_>) -> Result<()>;
    fn finish(&mut self);
    fn fail(&mut self, error: Error);
}

struct Work<P: Pass> {
    pass: Option<P>,
    reply: Option<oneshot::Sender<Result<P::Answer>>>,
}

impl<P: Pass> AnyWork for Work<P> {
    fn is_awaited(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        let Self { pass: Some(pass), reply: Some(reply) } = self else { return Ok(()) };
        pass.read(&Parts { is_awaited: &|| !reply.is_closed(), ..parts.clone() })
    }

    fn finish(&mut self) {
        if let (Some(pass), Some(reply)) = (self.pass.take(), self.reply.take()) {
            let _ = reply.send(pass.finish());
        }
    }

    fn fail(&mut self, error: Error) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(Err(error));
        }
    }
}

/// Runs one batch of at most `budget` tokens, and answers the passes that are through.
pub(super) fn run_next(model: &Model, jobs: &mut VecDeque<Job>, budget: usize) {
    jobs.retain(|job| job.work.is_awaited());
    let seats = next_batch(jobs, budget);
    run_batch(model, jobs, &seats);
    settle(jobs);
}

/// Answers the jobs that are through. One without prompts is through at once.
fn settle(jobs: &mut VecDeque<Job>) {
    jobs.retain_mut(|job| {
        let is_through = job.done >= job.prompts.len();
        if is_through {
            job.work.finish();
        }
        !is_through && job.work.is_awaited()
    });
}

/// Runs the model over the prompts of `seats`. Out of memory, it tries them in two halves.
fn run_batch(model: &Model, jobs: &mut VecDeque<Job>, seats: &[Seat]) {
    if seats.is_empty() {
        return;
    }
    match forward(model, jobs, seats) {
        Ok((batch, kept)) => hand_out(model, jobs, seats, &batch, &kept),
        Err(error) if error.kind() == ErrorKind::OutOfMemory && seats.len() > 1 => {
            let (first, second) = seats.split_at(seats.len() / 2);
            run_batch(model, jobs, first);
            run_batch(model, jobs, second);
        }
        Err(error) => {
            for seat in seats {
                if let Some(job) = jobs.get_mut(seat.job) {
                    job.work.fail(error.clone());
                }
            }
        }
    }
}

fn forward(model: &Model, jobs: &VecDeque<Job>, seats: &[Seat]) -> Result<(Batch, Kept)> {
    let riding: Vec<&Job> = seats.iter().filter_map(|seat| jobs.get(seat.job)).collect();
    let sequences: Vec<&[u32]> =
        riding.iter().zip(seats).filter_map(|(job, seat)| job.prompts.get(seat.prompt).map(Vec::as_slice)).collect();
    let batch = Batch::new(&sequences)?;
    let wanted: HashSet<Point> = riding.iter().flat_map(|job| job.wants.points.iter().copied()).collect();
    let rows = riding.iter().filter_map(|job| job.wants.logits).reduce(widest);
    let Some(until) = until(&wanted, rows) else { return Ok((batch, Kept::default())) };
    let is_awaited = || riding.iter().any(|job| job.work.is_awaited());
    let mut keeper = Keeper::new(wanted, &is_awaited);
    let logits = model.forward(&batch, &mut keeper, until)?;
    let mut kept = keeper.kept;
    kept.logits = rows.zip(logits);
    Ok((batch, kept))
}

fn widest(one: LogitRows, other: LogitRows) -> LogitRows {
    if one == LogitRows::All { one } else { other }
}

/// How far the model has to run.
fn until(wanted: &HashSet<Point>, logits: Option<LogitRows>) -> Option<Until> {
    let last = || wanted.iter().copied().max_by_key(|point| (depth(*point), point.place)).map(Until::Point);
    logits.map(Until::Logits).or_else(last)
}

/// Blocks in order, with what comes before them and after them.
fn depth(point: Point) -> usize {
    match point.place {
        Place::Embed | Place::PosEmbed => 0,
        Place::FinalNormalized | Place::Logits => usize::MAX,
        _ => point.layer + 1,
    }
}

/// Lets every pass read its prompts.
fn hand_out(model: &Model, jobs: &mut VecDeque<Job>, seats: &[Seat], batch: &Batch, kept: &Kept) {
    let mut first = 0;
    for own in seats.chunk_by(|one, other| one.job == other.job) {
        let sequences = first..first + own.len();
        first = sequences.end;
        let Some(last) = own.last() else { continue };
        let Some(job) = jobs.get_mut(last.job).filter(|job| job.work.is_awaited()) else { continue };
        let parts = Parts { model, batch, kept, sequences, logits: job.wants.logits, is_awaited: &|| true };
        match job.work.read(&parts) {
            Ok(()) => job.done = last.prompt + 1,
            Err(error) => job.work.fail(error),
        }
    }
}

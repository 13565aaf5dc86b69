//! The worker: a thread that owns a model and runs it for all who ask.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::batching::{Seat, next_batch};
use super::pass::{Kept, Parts, Pass, Wants};
use super::tap::Keeper;
use crate::model::{Batch, LogitRows, Model, Until};
use crate::{Error, ErrorKind, Place, Point, Result};

/// A handle to the thread that runs a model. The thread ends when the last handle is gone.
#[derive(Debug, Clone)]
pub struct Worker {
    model: Arc<Model>,
    queue: mpsc::Sender<Job>,
}

impl Worker {
    /// Starts a thread for `model`. `queue` passes may wait; `budget` tokens go into one batch.
    pub(super) fn start(name: &str, model: Arc<Model>, queue: usize, budget: usize) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(queue);
        let own = Arc::clone(&model);
        thread::Builder::new()
            .name(format!("model {name}"))
            .spawn(move || serve(&own, receiver, budget))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("no thread for model {name}: {error}")))?;
        Ok(Self { model, queue: sender })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Runs `pass` over `prompts`, one token sequence each. Waits while the queue is full. Dropping the future cancels.
    ///
    /// # Errors
    /// `InvalidInput` for a prompt without tokens or longer than the model's context; what the pass itself fails with;
    /// `OutOfMemory`.
    pub async fn run<P: Pass>(&self, prompts: Vec<Vec<u32>>, pass: P) -> Result<P::Answer> {
        for prompt in &prompts {
            check_length(&self.model, prompt.len())?;
        }
        let (reply, answer) = oneshot::channel();
        let job = Job {
            prompts,
            done: 0,
            wants: pass.wants(),
            work: Box::new(Work { pass: Some(pass), reply: Some(reply) }),
        };
        self.queue.send(job).await.map_err(|_| worker_gone())?;
        answer.await.map_err(|_| worker_gone())?
    }
}

fn worker_gone() -> Error {
    Error::new(ErrorKind::Internal, "the model's worker is gone")
}

fn check_length(model: &Model, tokens: usize) -> Result<()> {
    let longest = model.config().n_ctx;
    if tokens == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "the prompt has no tokens")
            .with_hint("give it some text, or let a BOS token be put in front"));
    }
    if tokens > longest {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the prompt has {tokens} tokens, and the model's context holds {longest}"),
        )
        .with_hint("cut the prompt"));
    }
    Ok(())
}

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

/// The thread: takes what waits, runs a batch, and again. It waits only when there is nothing to do.
fn serve(model: &Model, mut queue: mpsc::Receiver<Job>, budget: usize) {
    let mut jobs: VecDeque<Job> = VecDeque::new();
    loop {
        if jobs.is_empty() {
            match queue.blocking_recv() {
                Some(job) => jobs.push_back(job),
                None => return,
            }
        }
        while let Ok(job) = queue.try_recv() {
            jobs.push_back(job);
        }
        jobs.retain(|job| job.work.is_awaited());
        let seats = next_batch(&jobs, budget);
        run_batch(model, &mut jobs, &seats);
        settle(&mut jobs);
    }
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

//! The engine: takes texts in, reads their prompts, and lets all of them take steps together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use candle_core::Tensor;

use super::options::{Gauges, GenerationOptions};
use super::sequence::Sequence;
pub(crate) use super::sequence::Ticket;
use crate::model::{Batch, Cache, Capture, LogitRows, Model, Until};
use crate::ops::with_values;
use crate::steer::{Frozen, SteerTap};
use crate::{Error, ErrorKind, Result};

/// Longest piece of a prompt that is read as a step is.
const FEW: usize = 8;

/// The texts of a model.
#[derive(Debug)]
pub(crate) struct Engine {
    options: GenerationOptions,
    waiting: VecDeque<Ticket>,
    running: Vec<Sequence>,
    gauges: Arc<Gauges>,
}

impl Engine {
    pub(crate) fn new(options: GenerationOptions, gauges: Arc<Gauges>) -> Self {
        Self { options, waiting: VecDeque::new(), running: Vec::new(), gauges }
    }

    /// Takes a request in.
    pub(crate) fn add(&mut self, ticket: Ticket) {
        self.waiting.push_back(ticket);
        self.report();
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Lets go of texts that nobody waits for, admits others, reads some of their prompts, and lets all whose prompt is read
    /// take a step.
    pub(crate) fn step(&mut self, model: &Model) {
        self.settle();
        self.admit(model);
        self.read_prompts(model);
        self.settle();
        self.take_step(model);
        self.settle();
    }

    /// Frees what is over.
    fn settle(&mut self) {
        self.running.retain(Sequence::is_live);
        self.waiting.retain(Ticket::is_awaited);
        self.report();
    }

    fn report(&self) {
        let bytes = self.running.iter().map(|sequence| sequence.cache.size_in_bytes()).sum();
        self.gauges.running.store(self.running.len(), Ordering::Relaxed);
        self.gauges.waiting.store(self.waiting.len(), Ordering::Relaxed);
        self.gauges.cache_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Admits texts in the order in which they came, as long as the next one has room.
    fn admit(&mut self, model: &Model) {
        let mut reserved: usize = self.running.iter().map(|sequence| sequence.reserved).sum();
        while self.running.len() < self.options.sequences {
            let fits = |ticket: &&Ticket| reserved + ticket.reserved <= self.options.cache_bytes;
            if self.waiting.front().filter(fits).is_none() {
                return;
            }
            if let Some(ticket) = self.waiting.pop_front() {
                reserved += ticket.reserved;
                self.running.push(Sequence::start(model, ticket));
            }
        }
    }

    /// Reads prompts, each alone and in pieces whose sizes depend on nothing but the prompt, so that what else happens changes
    /// no result.
    fn read_prompts(&mut self, model: &Model) {
        let most = self.options.prompt_tokens.max(1);
        let mut tokens = 0;
        for sequence in self.running.iter_mut().filter(|sequence| sequence.is_live() && !sequence.has_read) {
            while !sequence.has_read && sequence.is_live() {
                let piece = sequence.next_tokens(most).len();
                if tokens > 0 && tokens + piece > most {
                    return;
                }
                tokens += piece;
                run(model, &mut [sequence], most);
            }
        }
    }

    /// One token for each text.
    fn take_step(&mut self, model: &Model) {
        let mut stepping: Vec<&mut Sequence> = self.running.iter_mut().filter(|sequence| sequence.has_read).collect();
        if !stepping.is_empty() {
            run(model, &mut stepping, 1);
        }
    }
}

/// Runs the model over the next tokens of some texts, and lets each choose. If the pass fails, each is run alone, so that a text
/// fails alone.
fn run(model: &Model, sequences: &mut [&mut Sequence], most: usize) {
    match forward(model, sequences, most) {
        Ok(logits) => {
            let chosen = with_values(&logits, |rows, width| {
                for (sequence, row) in sequences.iter_mut().zip(rows.chunks_exact(width.max(1))) {
                    let seen = sequence.next_tokens(most).len();
                    if sequence.saw(seen) {
                        sequence.choose(model.tokenizer(), &mut row.to_vec());
                    }
                }
            });
            if let Err(error) = chosen {
                sequences.iter_mut().for_each(|sequence| sequence.fail(error.clone()));
            }
        }
        Err(error) => match sequences {
            [only] => only.fail(error),
            several => several.iter_mut().for_each(|sequence| run(model, &mut [&mut **sequence], most)),
        },
    }
}

/// Logits after the next tokens: `[texts, V]`.
fn forward(model: &Model, sequences: &mut [&mut Sequence], most: usize) -> Result<Tensor> {
    let tokens: Vec<&[u32]> = sequences.iter().map(|sequence| sequence.next_tokens(most)).collect();
    let is_short = tokens.iter().all(|tokens| tokens.len() <= FEW);
    let batch = Batch::new(&tokens)?;
    let mut cache = Cache::of(sequences.iter_mut().map(|sequence| std::mem::take(&mut sequence.cache)).collect());
    let lengths = cache.lengths();
    let steered = sequences.iter().zip(&lengths).map(|(sequence, start)| sequence.steered(*start)).collect();
    let watched = Capture::new(sequences.iter().flat_map(|sequence| sequence.watched()));
    let frozen = sequences.iter().zip(&lengths).map(|(sequence, start)| (sequence.patterns(), *start)).collect();
    let mut tap = ((SteerTap::new(steered), Frozen::new(frozen)), watched);
    let logits = match is_short {
        true => model.step(&batch, &mut cache, &mut tap),
        false => model.forward_cached(&batch, &mut cache, &mut tap, Until::Logits(LogitRows::Last)),
    };
    let (steering, watched) = tap;
    drop(steering);
    for (sequence, own) in sequences.iter_mut().zip(cache.into_sequences()) {
        sequence.cache = own;
    }
    let logits = logits?.ok_or_else(|| internal("a pass ended before its logits"))?;
    tell(model, sequences, &batch, &lengths, &watched);
    Ok(logits)
}

/// Lets each text tell what is read out of it in a batch, of which it had `lengths` tokens before. One that cannot fails alone.
fn tell(model: &Model, sequences: &mut [&mut Sequence], batch: &Batch, lengths: &[usize], watched: &Capture) {
    for ((sequence, rows), start) in sequences.iter_mut().zip(batch.sequences()).zip(lengths) {
        let stream = |point| {
            let all = watched.get(point).ok_or_else(|| internal("a pass did not show what was asked for"))?;
            Ok(all.narrow(0, rows.start, rows.len())?)
        };
        if let Err(error) = sequence.read(model, *start, rows.len(), stream) {
            sequence.fail(error);
        }
    }
}

fn internal(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

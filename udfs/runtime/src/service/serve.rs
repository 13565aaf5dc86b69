//! The thread that runs a model: passes, texts, and whose turn it is.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::jobs::{Job, run_next};
use crate::generate::{Engine, Ticket};
use crate::model::Model;

/// Something that needs the model for itself.
pub(super) type Errand = Box<dyn FnOnce(&Model) + Send>;

/// What the thread is given to do.
pub(super) enum Task {
    /// A pass over prompts.
    Pass(Job),
    /// A text to generate.
    Text(Box<Ticket>),
    /// Something that needs the model for itself.
    Alone(Errand),
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(job) => job.fmt(f),
            Self::Text(ticket) => ticket.fmt(f),
            Self::Alone(_) => f.write_str("Alone"),
        }
    }
}

/// Tokens of one batch of passes while texts are growing, so that those do not stand still for long.
const SHARED_BUDGET: usize = 512;

/// What is left to do.
struct Work {
    passes: VecDeque<Job>,
    alone: VecDeque<Errand>,
    engine: Engine,
    turns: Turns,
}

/// Takes what waits, does the next piece of it, and again. It waits only when there is nothing to do.
pub(super) fn serve(model: &Model, mut queue: mpsc::Receiver<Task>, budget: usize, engine: Engine) {
    let mut work = Work { passes: VecDeque::new(), alone: VecDeque::new(), engine, turns: Turns::default() };
    loop {
        if work.is_done() {
            match queue.blocking_recv() {
                Some(task) => work.take(task),
                None => return,
            }
        }
        while let Ok(task) = queue.try_recv() {
            work.take(task);
        }
        work.go_on(model, budget);
    }
}

impl Work {
    fn is_done(&self) -> bool {
        self.passes.is_empty() && self.alone.is_empty() && self.engine.is_idle()
    }

    fn take(&mut self, task: Task) {
        match task {
            Task::Pass(job) => self.passes.push_back(job),
            Task::Text(ticket) => self.engine.add(*ticket),
            Task::Alone(work) => self.alone.push_back(work),
        }
    }

    /// A batch of passes, a step of all texts, or something that is done alone.
    fn go_on(&mut self, model: &Model, budget: usize) {
        let has_passes = !self.passes.is_empty() || !self.alone.is_empty();
        let started = Instant::now();
        match self.turns.next(has_passes, !self.engine.is_idle()) {
            Some(Turn::Passes) => {
                if let Some(work) = self.alone.pop_front() {
                    work(model);
                }
                let budget = if self.engine.is_idle() { budget } else { budget.min(SHARED_BUDGET) };
                run_next(model, &mut self.passes, budget);
                self.turns.passes += started.elapsed();
            }
            Some(Turn::Texts) => {
                // Within the pool, so that small pieces of work are not handed to another thread and waited for.
                let engine = &mut self.engine;
                rayon::scope(|_| engine.step(model));
                self.turns.texts += started.elapsed();
            }
            None => {}
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Passes,
    Texts,
}

/// Time that each kind of work had since both of them wait. Whoever had less is next, and passes first; so a pass that comes
/// while texts grow waits for one step, and neither kind can keep the other from half of the time.
#[derive(Debug, Default)]
struct Turns {
    passes: Duration,
    texts: Duration,
    /// Whether both kinds waited when it was last asked.
    are_both: bool,
}

impl Turns {
    fn next(&mut self, has_passes: bool, has_texts: bool) -> Option<Turn> {
        let are_both = has_passes && has_texts;
        if are_both != self.are_both {
            *self = Self { are_both, ..Self::default() };
        }
        match (has_passes, has_texts) {
            (false, false) => None,
            (true, false) => Some(Turn::Passes),
            (false, true) => Some(Turn::Texts),
            (true, true) if self.passes <= self.texts => Some(Turn::Passes),
            (true, true) => Some(Turn::Texts),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Turn, Turns};

    #[test]
    fn both_kinds_of_work_have_half_of_the_time() {
        let mut turns = Turns::default();
        assert_eq!(turns.next(false, true), Some(Turn::Texts));
        turns.texts += Duration::from_secs(9);
        // A pass that comes then waits no longer than a step, and does not make up for what was before.
        let mut order = Vec::new();
        for _ in 0..8 {
            let turn = turns.next(true, true).unwrap();
            order.push(turn);
            match turn {
                Turn::Passes => turns.passes += Duration::from_millis(90),
                Turn::Texts => turns.texts += Duration::from_millis(30),
            }
        }
        assert_eq!(order[0], Turn::Passes);
        assert_eq!(order.iter().filter(|turn| **turn == Turn::Passes).count(), 2, "{order:?}");
    }
}

//! How a run over a corpus tells how far it is.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use latentdb_engine::{Notices, Reached};

/// Time between two remarks of one stage.
const INTERVAL: Duration = Duration::from_secs(5);

/// A part of the work, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and tokenising the corpus; counted in prompts.
    Corpus,
    /// Running the model; counted in prompts.
    Activations,
    /// Making dashboards; counted in features.
    Dashboards,
    /// Finding the nearest of each vector; counted in vectors.
    Neighbors,
    /// Laying vectors out; counted in epochs.
    Layout,
    /// Embedding texts; counted in texts.
    Embedding,
    /// Making everything visible.
    Committing,
}

impl Stage {
    /// What is counted.
    fn unit(self) -> &'static str {
        match self {
            Self::Corpus | Self::Activations => "prompts",
            Self::Dashboards => "features",
            Self::Neighbors => "vectors",
            Self::Layout => "epochs",
            Self::Embedding => "texts",
            Self::Committing => "",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corpus => "reading the corpus",
            Self::Activations => "running the model",
            Self::Dashboards => "making dashboards",
            Self::Neighbors => "finding neighbours",
            Self::Layout => "laying out",
            Self::Embedding => "embedding",
            Self::Committing => "committing",
        })
    }
}

/// Hears how far a run is. Implementations must be quick.
pub trait Stages: Send + Sync {
    /// A stage begins, of which `done` out of `total` is done already.
    fn begin(&self, stage: Stage, done: u64, total: u64);

    /// So many more are done.
    fn advance(&self, done: u64);
}

/// Tells the log.
#[derive(Debug, Default)]
pub struct Logged;

impl Stages for Logged {
    fn begin(&self, stage: Stage, done: u64, total: u64) {
        tracing::info!(%stage, done, total, "a run over a corpus");
    }

    fn advance(&self, _done: u64) {}
}

/// Tells whoever waits for a statement: when a stage begins, and every few seconds how far it is and how long it will take.
#[derive(Debug)]
pub(crate) struct Told {
    notices: Notices,
    running: Mutex<Option<Running>>,
}

/// A stage that is under way.
#[derive(Debug)]
struct Running {
    stage: Stage,
    /// What was done before it began.
    before: u64,
    done: u64,
    total: u64,
    began: Instant,
    told: Instant,
}

impl Told {
    pub(crate) fn new(notices: &Notices) -> Self {
        Self { notices: notices.clone(), running: Mutex::new(None) }
    }
}

impl Stages for Told {
    fn begin(&self, stage: Stage, done: u64, total: u64) {
        Logged.begin(stage, done, total);
        let known = Some(total).filter(|total| *total > 0);
        self.notices.reach(Reached { stage: stage.to_string(), unit: stage.unit(), done, total: known });
        self.notices.say(match (done, total) {
            (_, 0) => stage.to_string(),
            (0, total) => format!("{stage}: {total}"),
            (done, total) => format!("{stage}: {done} of {total} are done already"),
        });
        let now = Instant::now();
        let running = Running { stage, before: done, done, total, began: now, told: now };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    fn advance(&self, done: u64) {
        self.notices.advance(done);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else { return };
        running.done += done;
        if running.told.elapsed() >= INTERVAL {
            running.told = Instant::now();
            self.notices.say(running.line(running.began.elapsed()));
        }
    }
}

impl Running {
    /// How far it is, and how long it will take if it goes on as in the time that has passed.
    fn line(&self, passed: Duration) -> String {
        let Self { stage, before, done, total, .. } = self;
        if *total == 0 {
            return format!("{stage}: {done}");
        }
        let share = done.min(total) * 100 / total;
        let left = match (done.saturating_sub(*before), total.saturating_sub(*done)) {
            (0, _) | (_, 0) => String::new(),
            (new, left) => format!(", about {:.0} s left", passed.as_secs_f64() / new as f64 * left as f64),
        };
        format!("{stage}: {done} of {total} ({share} %){left}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Running, Stage};

    #[test]
    fn the_estimate_is_of_what_this_run_has_done() {
        let now = Instant::now();
        let mut running =
            Running { stage: Stage::Activations, before: 100, done: 100, total: 400, began: now, told: now };
        assert_eq!(running.line(Duration::from_secs(9)), "running the model: 100 of 400 (25 %)");
        running.done = 200;
        assert_eq!(running.line(Duration::from_secs(10)), "running the model: 200 of 400 (50 %), about 20 s left");
        running.done = 400;
        assert_eq!(running.line(Duration::from_secs(30)), "running the model: 400 of 400 (100 %)");
    }
}

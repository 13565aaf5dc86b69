//! The engine's bounds, and what it says of itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::steer::Limits;

/// Bounds of generation, for each model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerationOptions {
    /// Texts that grow at a time; more wait.
    pub sequences: usize,
    /// Bytes of keys and values that they may take. What a text may need at most is set aside when it starts.
    pub cache_bytes: usize,
    /// Prompt tokens read between two steps. A longer prompt is read in pieces of so many.
    pub prompt_tokens: usize,
    /// Most tokens that a request may ask for.
    pub max_tokens: usize,
    /// Texts that may wait; whoever comes then waits to be let in.
    pub waiting: usize,
    /// Bounds of interventions.
    pub steering: Limits,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self {
            sequences: 64,
            cache_bytes: 2 << 30,
            prompt_tokens: 512,
            max_tokens: 100_000,
            waiting: 256,
            steering: Limits::default(),
        }
    }
}

/// What the engine is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationStatus {
    /// Texts that are growing.
    pub running: usize,
    /// Texts that wait.
    pub waiting: usize,
    /// Bytes of keys and values that are allocated.
    pub cache_bytes: usize,
}

/// The same, as the worker keeps it up to date.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(super) running: AtomicUsize,
    pub(super) waiting: AtomicUsize,
    pub(super) cache_bytes: AtomicUsize,
}

impl Gauges {
    pub(crate) fn read(&self) -> GenerationStatus {
        GenerationStatus {
            running: self.running.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            cache_bytes: self.cache_bytes.load(Ordering::Relaxed),
        }
    }
}

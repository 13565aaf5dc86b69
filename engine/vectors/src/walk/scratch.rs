//! Memory of walks, used again from walk to walk.

use std::sync::{Mutex, PoisonError};

use super::pool::Pool;
use super::visited::Visited;
use crate::codes::Dots;

/// The memory of one walk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) visited: Visited,
    pub(crate) pool: Pool,
    pub(crate) nodes: Vec<u32>,
    pub(crate) dots: Dots,
    pub(crate) distances: Vec<f32>,
}

/// As many as walked at the same time at most.
#[derive(Debug, Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// Lends memory to `work`.
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = idle().pop().unwrap_or_default();
        let outcome = work(&mut scratch);
        idle().push(scratch);
        outcome
    }
}

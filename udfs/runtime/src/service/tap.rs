//! The tap of the service: keeps what the passes of a batch want, and stops when nobody waits any more.

use std::collections::HashSet;

use candle_core::Tensor;

use super::pass::Kept;
use crate::model::{Batch, Tap};
use crate::{Error, ErrorKind, Place, Point, Result};

/// Keeps the values at some points.
pub(super) struct Keeper<'a> {
    wanted: HashSet<Point>,
    /// Whether anybody still waits for this batch.
    is_awaited: &'a dyn Fn() -> bool,
    pub(super) kept: Kept,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(wanted: HashSet<Point>, is_awaited: &'a dyn Fn() -> bool) -> Self {
        Self { wanted, is_awaited, kept: Kept::default() }
    }

    fn check(&self) -> Result<()> {
        if (self.is_awaited)() { Ok(()) } else { Err(cancelled()) }
    }
}

/// The error that a pass ends with when nobody waits for it.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "nobody waits for this pass any more")
}

impl Tap for Keeper<'_> {
    /// Besides what is kept, the stream after each block: there it looks whether anybody waits.
    fn wants(&self, point: Point) -> bool {
        point.place == Place::ResidPost || self.wanted.contains(&point)
    }

    fn visit(&mut self, point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        self.check()?;
        if self.wanted.contains(&point) {
            self.kept.values.insert(point, value.clone());
        }
        Ok(value)
    }

    fn visit_pattern(&mut self, point: Point, sequence: usize, pattern: Tensor) -> Result<Tensor> {
        if self.wanted.contains(&point) {
            self.kept.patterns.insert((point, sequence), pattern.clone());
        }
        Ok(pattern)
    }
}

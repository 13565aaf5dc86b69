//! The way through a forward pass: shows values to the tap, and ends where the pass is to end.

use candle_core::Tensor;

use super::batch::Batch;
use super::linear::Products;
use super::tap::Tap;
use crate::{Error, Place, Point, Result};

/// Where a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Right after this point; nothing that comes later is computed.
    Point(Point),
    /// At the logits.
    Logits(LogitRows),
}

/// For which rows logits are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogitRows {
    /// Every token.
    All,
    /// The last token of each sequence.
    Last,
}

/// Why a pass does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// It is where it was to end.
    Reached,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<candle_core::Error> for Halt {
    fn from(error: candle_core::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A step of the pass, or why there is none.
pub(super) type Step<T> = std::result::Result<T, Halt>;

/// A pass on its way.
pub(super) struct Walk<'a> {
    pub(super) batch: &'a Batch,
    /// How products are made.
    pub(super) products: Products,
    tap: &'a mut dyn Tap,
    until: Until,
}

impl<'a> Walk<'a> {
    pub(super) fn new(batch: &'a Batch, products: Products, tap: &'a mut dyn Tap, until: Until) -> Self {
        Self { batch, products, tap, until }
    }

    /// Whether somebody looks at this point.
    pub(super) fn is_watched(&self, place: Place, layer: usize) -> bool {
        let point = Point::new(place, layer);
        self.until == Until::Point(point) || self.tap.wants(point)
    }

    /// Shows a value; gives what goes on.
    pub(super) fn at(&mut self, place: Place, layer: usize, value: Tensor) -> Step<Tensor> {
        let point = Point::new(place, layer);
        let value = if self.tap.wants(point) { self.tap.visit(point, value, self.batch)? } else { value };
        self.end_at(point)?;
        Ok(value)
    }

    /// Shows the attention weights of a sequence.
    pub(super) fn at_pattern(&mut self, layer: usize, sequence: usize, pattern: Tensor) -> Result<Tensor> {
        let point = Point::new(Place::Pattern, layer);
        if self.tap.wants(point) { self.tap.visit_pattern(point, sequence, pattern) } else { Ok(pattern) }
    }

    /// Ends the pass if it is to end at `point`.
    pub(super) fn end_at(&self, point: Point) -> Step<()> {
        if self.until == Until::Point(point) { Err(Halt::Reached) } else { Ok(()) }
    }
}

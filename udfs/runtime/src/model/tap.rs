//! Taps: what reads or replaces values while a model runs.

use std::collections::{HashMap, HashSet};

use candle_core::Tensor;

use super::batch::Batch;
use crate::{Error, ErrorKind, Point, Result};

/// Reads or replaces the values at points of a forward pass. Returning an error ends the pass.
pub trait Tap {
    /// Whether the value at `point` is to be shown. Values that nobody wants are not computed where that can be avoided.
    fn wants(&self, point: Point) -> bool;

    /// Is shown the value at `point`, `[N, width]` with the rows of `batch`; the pass goes on with what it returns.
    ///
    /// # Errors
    /// Ends the pass.
    fn visit(&mut self, point: Point, value: Tensor, batch: &Batch) -> Result<Tensor>;

    /// Is shown the attention weights of one sequence, `[H, T, S]`: `T` queries over `S` keys, which are more where a
    /// cache brings some.
    ///
    /// # Errors
    /// Ends the pass.
    fn visit_pattern(&mut self, _point: Point, _sequence: usize, pattern: Tensor) -> Result<Tensor> {
        Ok(pattern)
    }
}

/// A tap that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTap;

impl Tap for NoTap {
    fn wants(&self, _point: Point) -> bool {
        false
    }

    fn visit(&mut self, _point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        Ok(value)
    }
}

/// A tap that keeps values.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    wanted: HashSet<Point>,
    values: HashMap<Point, Tensor>,
    patterns: HashMap<(Point, usize), Tensor>,
}

impl Capture {
    /// Keeps the values at `points`.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        Self { wanted: points.into_iter().collect(), ..Self::default() }
    }

    /// The value at `point`: `[N, width]`.
    pub fn get(&self, point: Point) -> Option<&Tensor> {
        self.values.get(&point)
    }

    /// The attention weights of a sequence at `point`: `[H, T, S]`.
    pub fn pattern(&self, point: Point, sequence: usize) -> Option<&Tensor> {
        self.patterns.get(&(point, sequence))
    }
}

impl Tap for Capture {
    fn wants(&self, point: Point) -> bool {
        self.wanted.contains(&point)
    }

    fn visit(&mut self, point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        self.values.insert(point, value.clone());
        Ok(value)
    }

    fn visit_pattern(&mut self, point: Point, sequence: usize, pattern: Tensor) -> Result<Tensor> {
        self.patterns.insert((point, sequence), pattern.clone());
        Ok(pattern)
    }
}

/// A tap that changes the value at one point; any but the attention weights, which come sequence by sequence.
#[derive(Debug, Clone)]
pub struct Edit<F> {
    point: Point,
    change: F,
}

impl<F: FnMut(Tensor, &Batch) -> Result<Tensor>> Edit<F> {
    /// Puts what `change` makes of the value `[N, width]` at `point` in its place.
    pub fn new(point: Point, change: F) -> Self {
        Self { point, change }
    }
}

impl<F: FnMut(Tensor, &Batch) -> Result<Tensor>> Tap for Edit<F> {
    fn wants(&self, point: Point) -> bool {
        self.point == point
    }

    fn visit(&mut self, point: Point, value: Tensor, batch: &Batch) -> Result<Tensor> {
        let (shape, dtype, device) = (value.shape().clone(), value.dtype(), value.device().clone());
        let changed = (self.change)(value, batch)?;
        if *changed.shape() != shape {
            let message = format!("{point} holds {shape:?}, and cannot be replaced by {:?}", changed.shape());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(changed.to_device(&device)?.to_dtype(dtype)?)
    }
}

/// Two taps: the second is shown what the first made of a value.
impl<A: Tap, B: Tap> Tap for (A, B) {
    fn wants(&self, point: Point) -> bool {
        self.0.wants(point) || self.1.wants(point)
    }

    fn visit(&mut self, point: Point, mut value: Tensor, batch: &Batch) -> Result<Tensor> {
        if self.0.wants(point) {
            value = self.0.visit(point, value, batch)?;
        }
        if self.1.wants(point) { self.1.visit(point, value, batch) } else { Ok(value) }
    }

    fn visit_pattern(&mut self, point: Point, sequence: usize, mut pattern: Tensor) -> Result<Tensor> {
        if self.0.wants(point) {
            pattern = self.0.visit_pattern(point, sequence, pattern)?;
        }
        if self.1.wants(point) { self.1.visit_pattern(point, sequence, pattern) } else { Ok(pattern) }
    }
}

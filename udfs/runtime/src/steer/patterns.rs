//! Attention weights that stay as they were: kept in one pass over a prompt, and put in the place of another one's.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::model::{Batch, LogitRows, Model, Tap, Until};
use crate::{Place, Point, Result};

/// The attention weights of a pass over one prompt, `[H, T, T]` by point. As a tap, it keeps them.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    kept: HashMap<Point, Tensor>,
    tokens: usize,
}

impl Patterns {
    /// Those of a model that nothing is changed in.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn of(model: &Model, prompt: &[u32]) -> Result<Self> {
        let mut patterns = Self::default();
        model.forward(&Batch::new(&[prompt])?, &mut patterns, Until::Logits(LogitRows::Last))?;
        Ok(patterns)
    }

    /// Bytes that those of a prompt of `tokens` tokens take.
    pub fn most_bytes(model: &Model, tokens: usize) -> usize {
        let config = model.config();
        config.n_layers * config.n_heads * tokens * tokens * model.dtype().size_in_bytes()
    }
}

impl Tap for Patterns {
    fn wants(&self, point: Point) -> bool {
        point.place == Place::Pattern
    }

    fn visit(&mut self, _point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        Ok(value)
    }

    fn visit_pattern(&mut self, point: Point, _sequence: usize, pattern: Tensor) -> Result<Tensor> {
        self.tokens = pattern.dim(1)?;
        self.kept.insert(point, pattern.clone());
        Ok(pattern)
    }
}

/// Puts kept weights in the place of those of some sequences of a batch, as far as they reach.
#[derive(Debug)]
pub struct Frozen<'a> {
    sequences: Vec<(Option<&'a Patterns>, usize)>,
}

impl<'a> Frozen<'a> {
    /// For a batch of sequences, each with its kept weights, if any, and the position of its first row in this pass.
    pub fn new(sequences: Vec<(Option<&'a Patterns>, usize)>) -> Self {
        Self { sequences }
    }
}

impl Tap for Frozen<'_> {
    fn wants(&self, point: Point) -> bool {
        let reaches =
            |(patterns, start): &(Option<&Patterns>, usize)| patterns.is_some_and(|kept| *start < kept.tokens);
        point.place == Place::Pattern && self.sequences.iter().any(reaches)
    }

    fn visit(&mut self, _point: Point, value: Tensor, _batch: &Batch) -> Result<Tensor> {
        Ok(value)
    }

    fn visit_pattern(&mut self, point: Point, sequence: usize, pattern: Tensor) -> Result<Tensor> {
        let (_, queries, keys) = pattern.dims3()?;
        let Some((Some(patterns), start)) = self.sequences.get(sequence) else { return Ok(pattern) };
        match patterns.kept.get(&point) {
            Some(kept) if start + queries <= patterns.tokens => {
                Ok(kept.narrow(1, *start, queries)?.narrow(2, 0, keys)?.contiguous()?)
            }
            _ => Ok(pattern),
        }
    }
}

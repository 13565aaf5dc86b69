//! `hidden_states`: the model's values at a point, one vector a token.

use super::matrix::values;
use crate::service::{Parts, Pass, Wants};
use crate::{Point, Result};

/// The operation.
#[derive(Debug)]
pub struct HiddenStates {
    point: Point,
    found: Vec<Vec<Vec<f32>>>,
}

impl HiddenStates {
    /// Reads the values at `point`.
    pub fn new(point: Point) -> Self {
        Self { point, found: Vec::new() }
    }
}

impl Pass for HiddenStates {
    /// For each prompt, for each token, a vector of the point's width.
    type Answer = Vec<Vec<Vec<f32>>>;

    fn wants(&self) -> Wants {
        Wants::points([self.point])
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let value = part.value(self.point)?;
            let width = value.dim(1)?;
            self.found.push(values(&value)?.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect());
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

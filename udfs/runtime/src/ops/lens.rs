//! `logits` and `logit_lens`: the tokens a model expects next, at its end and, through [lenses](crate::lens), after each layer.

use super::matrix::with_values;
use crate::Result;
use crate::lens::{PositionReadout, Readout, TokenLogit, likeliest};
use crate::model::LogitRows;
use crate::service::{Parts, Pass, Wants};

/// The next token after each prompt.
#[derive(Debug)]
pub struct Logits {
    top_k: usize,
    found: Vec<Vec<TokenLogit>>,
}

impl Logits {
    /// The `top_k` most likely tokens.
    pub fn new(top_k: usize) -> Self {
        Self { top_k, found: Vec::new() }
    }
}

impl Pass for Logits {
    /// For each prompt, the most likely tokens first.
    type Answer = Vec<Vec<TokenLogit>>;

    fn wants(&self) -> Wants {
        Wants { points: Vec::new(), logits: Some(LogitRows::Last) }
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            let found = with_values(&part.logits()?, |values, _| likeliest(values, self.top_k, |_| true))?;
            self.found.push(found);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

/// What lenses show at each token.
#[derive(Debug)]
pub struct Lenses {
    readout: Readout,
    found: Vec<Vec<PositionReadout>>,
}

impl Lenses {
    /// Reads every position.
    pub fn new(readout: Readout) -> Self {
        Self { readout, found: Vec::new() }
    }
}

impl Pass for Lenses {
    /// For each prompt, for each position, what it says.
    type Answer = Vec<Vec<PositionReadout>>;

    fn wants(&self) -> Wants {
        Wants::points(self.readout.points())
    }

    fn read(&mut self, parts: &Parts<'_>) -> Result<()> {
        parts.each(|part| {
            self.found.push(self.readout.read(part.model(), |point| part.value(point))?);
            Ok(())
        })
    }

    fn finish(self) -> Result<Self::Answer> {
        Ok(self.found)
    }
}

//! `intervene`: logits of a prompt with and without interventions, without generating anything.

use candle_core::Tensor;

use super::matrix::with_values;
use crate::model::{Batch, LogitRows, Model, Until};
use crate::steer::{Frozen, Intervention, Limits, Patterns, Plan, SteerTap, Steered};
use crate::{Error, ErrorKind, Result};

/// The operation. It is two passes of which the second may depend on the first, and so no [`Pass`](crate::service::Pass): run it
/// with [`Worker::alone`](crate::service::Worker::alone).
#[derive(Debug, Clone)]
pub struct Intervene {
    /// Tokens of the prompt.
    pub prompt: Vec<u32>,
    /// What is changed, in order.
    pub interventions: Vec<Intervention>,
    /// Whether the changed pass keeps the attention weights of the unchanged one, so that a change moves only what is read and
    /// not from where.
    pub freeze_attention: bool,
    /// Positions whose logits are wanted; none for all of the prompt's.
    pub positions: Option<Vec<usize>>,
}

/// Logits, a row `[V]` for each position that was asked for, in the prompt's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervened {
    /// Of the model as it is.
    pub plain: Vec<Vec<f32>>,
    /// With the interventions.
    pub changed: Vec<Vec<f32>>,
}

impl Intervene {
    /// Runs both passes.
    ///
    /// # Errors
    /// `InvalidInput` for a prompt that is empty or too long, a position beyond it, and what [`Plan::new`] refuses.
    pub fn run(&self, model: &Model, limits: &Limits) -> Result<Intervened> {
        let batch = Batch::new(&[&self.prompt])?;
        self.check_positions()?;
        let plan = Plan::new(model, &self.prompt, &self.interventions, limits)?;
        let until = Until::Logits(LogitRows::All);
        let mut patterns = Patterns::default();
        let plain = match self.freeze_attention {
            true => model.forward(&batch, &mut patterns, until)?,
            false => model.forward(&batch, &mut crate::model::NoTap, until)?,
        };
        let plain = self.rows(plain)?;
        if plan.is_empty() {
            return Ok(Intervened { changed: plain.clone(), plain });
        }
        let steer = SteerTap::new(vec![Steered { plan: &plan, start: 0 }]);
        let frozen = Frozen::new(vec![(Some(&patterns), 0)]);
        let changed = match self.freeze_attention {
            true => model.forward(&batch, &mut (steer, frozen), until)?,
            false => model.forward(&batch, &mut { steer }, until)?,
        };
        Ok(Intervened { plain, changed: self.rows(changed)? })
    }

    fn check_positions(&self) -> Result<()> {
        let tokens = self.prompt.len();
        let beyond = self.positions.iter().flatten().find(|position| **position >= tokens);
        beyond.map_or(Ok(()), |position| {
            let message = format!("there is no position {position}: the prompt has {tokens} tokens");
            Err(Error::new(ErrorKind::InvalidInput, message).with_hint("positions are counted from 0"))
        })
    }

    fn rows(&self, logits: Option<Tensor>) -> Result<Vec<Vec<f32>>> {
        let logits = logits.ok_or_else(|| Error::new(ErrorKind::Internal, "a pass ended before its logits"))?;
        with_values(&logits, |values, width| {
            let rows = values.chunks_exact(width.max(1));
            let is_wanted = |row: usize| self.positions.as_ref().is_none_or(|wanted| wanted.contains(&row));
            rows.enumerate().filter(|(row, _)| is_wanted(*row)).map(|(_, values)| values.to_vec()).collect()
        })
    }
}

//! Interventions, checked against a model and a prompt: what is left can be applied without a question.

use std::collections::HashSet;

use super::change::{Action, Step, prepare};
use super::intervention::{Intervention, Positions, Which};
use crate::model::{Config, Model};
use crate::{Error, ErrorKind, Place, Point, Result};

/// Bounds of interventions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Largest strength, cap, target or factor; and largest length of what is added.
    pub strength: f32,
    /// Most interventions of a request.
    pub interventions: usize,
}

impl Default for Limits {
    /// Streams of published models are up to some ten thousands long.
    fn default() -> Self {
        Self { strength: 1e6, interventions: 256 }
    }
}

/// The interventions of one sequence, in order. Those that change nothing are gone.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    points: HashSet<Point>,
    prompt: usize,
    /// Of each token of the prompt.
    is_special: Vec<bool>,
}

impl Plan {
    /// Checks `interventions` for a sequence that starts with `prompt`.
    ///
    /// # Errors
    /// `InvalidInput` for a point that the model does not have, a vector of another width, without a length or not finite, a
    /// strength beyond the limits, a position beyond the prompt; `NotFound` for a feature that its source does not have;
    /// `Unsupported` for the features of temporal sources.
    pub fn new(model: &Model, prompt: &[u32], interventions: &[Intervention], limits: &Limits) -> Result<Self> {
        if interventions.len() > limits.interventions {
            let message = format!("{} interventions are more than {}", interventions.len(), limits.interventions);
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let mut steps = Vec::new();
        for (number, intervention) in interventions.iter().enumerate() {
            let within =
                |error: Error| error.within(format_args!("intervention {} at {}", number + 1, intervention.point));
            check_positions(&intervention.positions, prompt.len()).map_err(within)?;
            prepare(model.config(), intervention, number, limits, &mut steps).map_err(within)?;
        }
        let points = steps.iter().map(|step| step.point).collect();
        let is_special = prompt.iter().map(|token| model.tokenizer().is_special(*token)).collect();
        Ok(Self { steps, points, prompt: prompt.len(), is_special })
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn points(&self) -> &HashSet<Point> {
        &self.points
    }

    /// Whether a step is about the token at `position`.
    pub(super) fn applies(&self, step: &Step, position: usize) -> bool {
        let of_prompt = position < self.prompt;
        let is_chosen = match &step.positions.which {
            Which::All => true,
            Which::Prompt => of_prompt,
            Which::Generated => !of_prompt,
            Which::Chosen(chosen) => chosen.contains(&position),
        };
        let is_skipped = step.positions.skip_special && self.is_special.get(position).copied().unwrap_or(false);
        // Reading a feature changes nothing, and is written where it applies.
        is_chosen && !is_skipped || matches!(step.action, Action::Read { .. })
    }
}

fn check_positions(positions: &Positions, prompt: usize) -> Result<()> {
    let Which::Chosen(chosen) = &positions.which else { return Ok(()) };
    chosen.iter().find(|position| **position >= prompt).map_or(Ok(()), |position| {
        let message = format!("there is no position {position}: the prompt has {prompt} tokens");
        Err(Error::new(ErrorKind::InvalidInput, message).with_hint("positions are counted from 0"))
    })
}

/// The one name of a place that has two: the stream before a block is that after the block before it.
pub(super) fn canonical(point: Point) -> Point {
    match (point.place, point.layer.checked_sub(1)) {
        (Place::ResidPre, Some(before)) => Point::new(Place::ResidPost, before),
        _ => point,
    }
}

/// Values of a position at a point that can be changed.
pub(super) fn width(config: &Config, point: Point) -> Result<usize> {
    config.width(point.place).filter(|_| config.has(point)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("the model has no values to change at {point}")).with_hint(format!(
            "its {} layers are counted from 0, and its family is {}",
            config.n_layers, config.family
        ))
    })
}

//! From what is asked to what is done to rows of numbers.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::intervention::{Change, Feature, Intervention, Positions};
use super::plan::{Limits, canonical, width};
use crate::model::Config;
use crate::source::Architecture;
use crate::{Error, ErrorKind, Point, Result};

/// An action at a point.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) point: Point,
    pub(super) positions: Positions,
    pub(super) action: Action,
}

/// What is done to a row.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// `h += delta`.
    Add(Arc<[f32]>),
    /// `h += ‖h‖ share`.
    AddShare(Vec<f32>),
    /// `h += (h · unit) difference`.
    Swap { unit: Vec<f32>, difference: Vec<f32> },
    /// `h += factor (h · unit) unit`.
    Project { unit: Vec<f32>, factor: f32 },
    /// `h += (min(h · unit, most) - h · unit) unit`.
    Cap { unit: Vec<f32>, most: f32 },
    /// `h = value`.
    Replace(Arc<[f32]>),
    /// Computes a feature's activations for the [`Write`](Self::Write) of the same number.
    Read { feature: Feature, number: usize },
    /// Moves a feature to its target, by the activations that were read.
    Write { target: Target, direction: Vec<f32>, number: usize },
}

/// What a feature's activation is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Value(f32),
    Factor(f32),
}

impl Target {
    /// What is to be added to an activation.
    fn correction(self, activation: f32) -> f32 {
        match self {
            Self::Value(value) => value - activation,
            Self::Factor(factor) => (factor - 1.0) * activation,
        }
    }
}

/// A feature's activation at a row, and what a correction of it is multiplied by: the row's scale, of sources that normalise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) activation: f32,
    pub(super) gain: f32,
}

impl Action {
    /// Changes a row. `reading` is that of a [`Write`](Self::Write).
    pub(super) fn apply(&self, row: &mut [f32], reading: Option<&Reading>) {
        match self {
            Self::Add(delta) => add(row, 1.0, delta),
            Self::AddShare(share) => {
                let length = dot(row, row).sqrt();
                add(row, length, share);
            }
            Self::Swap { unit, difference } => {
                let component = dot(row, unit);
                add(row, component, difference);
            }
            Self::Project { unit, factor } => {
                let component = dot(row, unit);
                add(row, factor * component, unit);
            }
            Self::Cap { unit, most } => {
                let component = dot(row, unit);
                if component > *most {
                    add(row, most - component, unit);
                }
            }
            Self::Replace(value) => row.copy_from_slice(value),
            Self::Read { .. } => {}
            Self::Write { target, direction, .. } => {
                if let Some(reading) = reading {
                    add(row, target.correction(reading.activation) * reading.gain, direction);
                }
            }
        }
    }
}

/// A feature's activations at rows `[N, width]`.
pub(super) fn read(feature: &Feature, rows: &[f32], width: usize) -> Result<Vec<Reading>> {
    let rows = Tensor::from_slice(rows, (rows.len() / width.max(1), width), &Device::Cpu)?;
    let (activations, gains) = feature.source.encode_feature_with_gains(&rows, feature.index)?;
    let readings = activations.into_iter().zip(gains);
    Ok(readings.map(|(activation, gain)| Reading { activation, gain }).collect())
}

/// The steps that an intervention comes to; none if it changes nothing.
pub(super) fn prepare(
    config: &Config,
    asked: &Intervention,
    number: usize,
    limits: &Limits,
    steps: &mut Vec<Step>,
) -> Result<()> {
    let expected = width(config, asked.point)?;
    let point = canonical(asked.point);
    let bound = |value: f32, what: &str| check_bound(value, what, limits.strength);
    let mut step = |point: Point, action: Action| {
        steps.push(Step { point, positions: asked.positions.clone(), action });
    };
    match &asked.change {
        Change::Add { direction, strength } => {
            let norm = check_direction(direction, expected)?;
            bound(*strength, "the strength")?;
            bound((f64::from(*strength) * norm) as f32, "the length of what is added")?;
            if *strength != 0.0 {
                step(point, Action::Add(direction.iter().map(|value| strength * value).collect()));
            }
        }
        Change::AddShare { direction, strength } => {
            let norm = check_direction(direction, expected)?;
            bound(*strength, "the strength")?;
            let share = f64::from(*strength) * (f64::from(*strength).abs() * norm).max(1.0).recip();
            if *strength != 0.0 {
                step(point, Action::AddShare(direction.iter().map(|value| share as f32 * value).collect()));
            }
        }
        Change::Swap { from, to } => {
            let (unit, other) = (unit(from, expected)?, unit(to, expected)?);
            let difference = other.iter().zip(&unit).map(|(other, unit)| other - unit).collect();
            step(point, Action::Swap { unit, difference });
        }
        Change::Orthogonal { direction, strength } => {
            let unit = unit(direction, expected)?;
            bound(*strength, "the strength")?;
            if *strength != 1.0 {
                step(point, Action::Project { unit, factor: strength - 1.0 });
            }
        }
        Change::Cap { direction, most } => {
            let unit = unit(direction, expected)?;
            bound(*most, "the cap")?;
            step(point, Action::Cap { unit, most: *most });
        }
        Change::Replace { value } => {
            check_vector(value, expected)?;
            value.iter().try_for_each(|value| bound(*value, "a component"))?;
            step(point, Action::Replace(Arc::clone(value)));
        }
        Change::Set { feature, value } => {
            bound(*value, "the target")?;
            let (reads, direction) = check_feature(config, feature, asked.point)?;
            step(reads, Action::Read { feature: feature.clone(), number });
            step(point, Action::Write { target: Target::Value(*value), direction, number });
        }
        Change::Scale { feature, factor } => {
            bound(*factor, "the factor")?;
            let (reads, direction) = check_feature(config, feature, asked.point)?;
            if *factor != 1.0 {
                step(reads, Action::Read { feature: feature.clone(), number });
                step(point, Action::Write { target: Target::Factor(*factor), direction, number });
            }
        }
    }
    Ok(())
}

/// Where a feature's activation is read, and what it writes.
fn check_feature(config: &Config, feature: &Feature, writes: Point) -> Result<(Point, Vec<f32>)> {
    let source = &feature.source;
    let reads = source.config().point;
    if source.config().architecture == Architecture::Temporal {
        let message = "features of temporal sources depend on all tokens before them, and cannot be set";
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint("add the feature's direction instead"));
    }
    if canonical(source.output_point()) != canonical(writes) {
        let message = format!("the source of feature {} writes {}", feature.index, source.output_point());
        return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("set its features there"));
    }
    let direction = source.step(feature.index)?;
    check_direction(&direction, width(config, writes)?)?;
    let read_width = width(config, reads)?;
    if read_width != source.config().d_in {
        let message =
            format!("the source reads {} values at {reads}, and the model has {read_width}", source.config().d_in);
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let (reads, writes) = (canonical(reads), canonical(writes));
    if (reads.layer, reads.place) > (writes.layer, writes.place) {
        let message = format!("the source reads {reads}, after {writes}, which it writes");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok((reads, direction))
}

fn unit(direction: &[f32], expected: usize) -> Result<Vec<f32>> {
    let norm = check_direction(direction, expected)? as f32;
    Ok(direction.iter().map(|value| value / norm).collect())
}

/// The length of a direction that has one.
fn check_direction(direction: &[f32], expected: usize) -> Result<f64> {
    check_vector(direction, expected)?;
    let norm = direction.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if (norm as f32) == 0.0 || !(norm as f32).is_finite() {
        let message = "the vector has no direction: its length is 0, or too large for a number";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(norm)
}

fn check_vector(vector: &[f32], expected: usize) -> Result<()> {
    if vector.len() != expected {
        let message = format!("the vector has {} components, and the model has {expected} values there", vector.len());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Err(Error::new(ErrorKind::InvalidInput, "the vector has a component that is not a finite number"));
    }
    Ok(())
}

fn check_bound(value: f32, what: &str, most: f32) -> Result<()> {
    if value.abs() <= most {
        return Ok(());
    }
    let message = format!("{what} is {value:e}: it has to be a number of at most {most:e}, up or down");
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// In eight lanes, which is exacter than one after another.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (one, other) in one.chunks(8).zip(other.chunks(8)) {
        for ((lane, one), other) in lanes.iter_mut().zip(one).zip(other) {
            *lane += one * other;
        }
    }
    lanes.iter().sum()
}

fn add(row: &mut [f32], factor: f32, direction: &[f32]) {
    for (value, direction) in row.iter_mut().zip(direction) {
        *value += factor * direction;
    }
}

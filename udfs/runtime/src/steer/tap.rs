//! The tap that applies plans to the rows of a batch.

use std::collections::{HashMap, HashSet};

use candle_core::{DType, Device, Tensor};

use super::change::{Action, Reading, read};
use super::plan::Plan;
use crate::model::{Batch, Tap};
use crate::{Point, Result};

/// A sequence of a batch that is steered.
#[derive(Debug, Clone, Copy)]
pub struct Steered<'a> {
    /// Its interventions.
    pub plan: &'a Plan,
    /// Position of its first row in this pass.
    pub start: usize,
}

/// Applies a plan to each sequence of a batch; rows of the others pass through it bit for bit.
#[derive(Debug)]
pub struct SteerTap<'a> {
    sequences: Vec<Steered<'a>>,
    points: HashSet<Point>,
    /// Activations of the rows of a sequence, by the number of the intervention.
    read: HashMap<(usize, usize), Vec<Reading>>,
}

impl<'a> SteerTap<'a> {
    /// For a batch of these sequences.
    pub fn new(sequences: Vec<Steered<'a>>) -> Self {
        let points = sequences.iter().flat_map(|steered| steered.plan.points().iter().copied()).collect();
        Self { sequences, points, read: HashMap::new() }
    }

    /// Whether any row of the batch is to be worked on at `point`.
    fn is_touched(&self, point: Point, batch: &Batch) -> bool {
        self.sequences.iter().zip(batch.sequences()).any(|(steered, rows)| {
            let mut steps = steered.plan.steps.iter().filter(|step| step.point == point);
            steps.any(|step| (0..rows.len()).any(|row| steered.plan.applies(step, steered.start + row)))
        })
    }

    /// Applies a sequence's steps to its rows.
    fn change(&mut self, number: usize, point: Point, rows: &mut [f32], width: usize) -> Result<()> {
        let Some(Steered { plan, start }) = self.sequences.get(number).copied() else { return Ok(()) };
        for step in plan.steps.iter().filter(|step| step.point == point) {
            if let Action::Read { feature, number: intervention } = &step.action {
                self.read.insert((number, *intervention), read(feature, rows, width)?);
                continue;
            }
            let readings = match &step.action {
                Action::Write { number: intervention, .. } => self.read.get(&(number, *intervention)),
                _ => None,
            };
            for (row, values) in rows.chunks_exact_mut(width).enumerate() {
                if plan.applies(step, start + row) {
                    step.action.apply(values, readings.and_then(|readings| readings.get(row)));
                }
            }
        }
        Ok(())
    }
}

impl Tap for SteerTap<'_> {
    fn wants(&self, point: Point) -> bool {
        self.points.contains(&point)
    }

    fn visit(&mut self, point: Point, value: Tensor, batch: &Batch) -> Result<Tensor> {
        if !self.is_touched(point, batch) {
            return Ok(value);
        }
        let (rows, width) = value.dims2()?;
        let mut values: Vec<f32> = value.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        for (number, range) in batch.sequences().iter().enumerate() {
            if let Some(own) = values.get_mut(range.start * width..range.end * width) {
                self.change(number, point, own, width)?;
            }
        }
        let changed = Tensor::from_vec(values, (rows, width), &Device::Cpu)?;
        Ok(changed.to_device(value.device())?.to_dtype(value.dtype())?)
    }
}

//! Matching pursuit: decoder rows are taken one after the other, each time the one that explains most of what is
//! left of the input.

use candle_core::{Device, Tensor};

use super::elementwise::relu;
use crate::Result;

/// When a pursuit ends.
#[derive(Debug, Clone)]
pub(in crate::source) struct Pursuit {
    /// Ends when the residual is shorter than this; never if it is 0 or less.
    pub residual_threshold: f64,
    /// Rows taken at most.
    pub max_iterations: usize,
    /// Ends when a row is taken that was taken before.
    pub stops_on_duplicate: bool,
}

/// One position's pursuit.
struct Position {
    /// Its row in the batch.
    row: usize,
    residual: Vec<f32>,
}

impl Pursuit {
    /// Features `[N, F]` of the centred rows of `x` `[N, d]`; `decoder` is `[F, d]`.
    pub(super) fn encode(&self, x: &Tensor, decoder: &Tensor) -> Result<Tensor> {
        let (rows, features) = (x.dim(0)?, decoder.dim(0)?);
        let decoder_rows = decoder.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
        let transposed = decoder.t()?;
        let mut values = vec![0f32; rows * features];
        let mut open: Vec<Position> = x
            .to_device(&Device::Cpu)?
            .to_vec2::<f32>()?
            .into_iter()
            .enumerate()
            .map(|(row, residual)| Position { row, residual })
            .collect();
        for _ in 0..self.max_iterations {
            if open.is_empty() {
                break;
            }
            let best = best_rows(&open, &transposed)?;
            let mut best = best.into_iter();
            open.retain_mut(|position| {
                let Some(index) = best.next() else { return false };
                let slot = values.get_mut(position.row * features + index);
                let (Some(slot), Some(direction)) = (slot, decoder_rows.get(index)) else { return false };
                self.step(position, direction, slot)
            });
        }
        Ok(Tensor::from_vec(values, (rows, features), &Device::Cpu)?.to_device(x.device())?)
    }

    /// Takes `direction` out of what is left of a position; answers whether its pursuit goes on.
    fn step(&self, position: &mut Position, direction: &[f32], slot: &mut f32) -> bool {
        let value = relu(position.residual.iter().zip(direction).map(|(r, d)| r * d).sum::<f32>());
        let adds_to_support = *slot == 0.0 && value != 0.0;
        *slot += value;
        position.residual.iter_mut().zip(direction).for_each(|(r, d)| *r -= value * d);
        let length = position.residual.iter().map(|r| f64::from(r * r)).sum::<f64>().sqrt();
        let is_small = self.residual_threshold > 0.0 && length < self.residual_threshold;
        !(is_small || self.stops_on_duplicate && !adds_to_support)
    }
}

/// For each open position, the index of the decoder row with the largest product; the first one of equals, and the
/// first of all if no product is positive.
fn best_rows(open: &[Position], transposed: &Tensor) -> Result<Vec<usize>> {
    let width = transposed.dim(0)?;
    let flat: Vec<f32> = open.iter().flat_map(|position| position.residual.iter().copied()).collect();
    let residuals = Tensor::from_vec(flat, (open.len(), width), &Device::Cpu)?.to_device(transposed.device())?;
    let products = residuals.matmul(transposed)?.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    Ok(products.iter().map(|row| first_largest(row)).collect())
}

fn first_largest(row: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in row.iter().enumerate() {
        if relu(*value) > best.1 {
            best = (index, relu(*value));
        }
    }
    best.0
}

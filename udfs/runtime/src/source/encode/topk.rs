//! The k largest pre-activations of each position, and the largest of each of k groups.
//!
//! Runs on the processor, where ties go to the lower index; a GPU's order of ties is not specified.

use std::cmp::Ordering;

use candle_core::{Device, Tensor};

use super::elementwise::relu;
use super::refuse;
use super::rows::each_row;
use crate::Result;

/// What a top-k keeps of each position.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct TopK {
    /// Features kept.
    pub k: usize,
    /// Ranks by magnitude instead of by value.
    by_magnitude: bool,
    /// Keeps negative values that were ranked among the k instead of setting them to 0.
    pub keeps_negative: bool,
    /// Multiply the pre-activations before they are ranked.
    norms: Option<Vec<f32>>,
}

impl TopK {
    /// The `k` largest, by value and with negative ones set to 0 (SAELens' topk).
    pub(in crate::source) fn new(k: usize) -> Self {
        Self { k, ..Self::default() }
    }

    /// The `k` of largest magnitude, with their signs (SAELens' abstopk).
    pub(in crate::source) fn by_magnitude(k: usize) -> Self {
        Self { by_magnitude: true, ..Self::new(k) }
    }

    pub(super) fn with_norms(self, norms: Option<&Tensor>) -> Result<Self> {
        let norms = norms.map(|norms| norms.to_vec1::<f32>()).transpose()?;
        Ok(Self { norms, ..self })
    }

    /// Features of `product = x @ W_enc` `[N, F]`.
    pub(super) fn apply(&self, product: Tensor, bias: &Tensor) -> Result<Tensor> {
        let bias = bias.to_vec1::<f32>()?;
        on_processor(product, |product| {
            each_row(product, |row| {
                add(row, &bias);
                if let Some(norms) = &self.norms {
                    row.iter_mut().zip(norms).for_each(|(value, norm)| *value *= norm);
                }
                self.keep_largest(row);
            })
        })
    }

    /// Sets all but the k largest values of `row` to 0.
    fn keep_largest(&self, row: &mut [f32]) {
        let rank = |value: f32| if self.by_magnitude { value.abs() } else { value };
        if self.k < row.len() {
            let cut = cut(row, self.k, rank);
            // Values above the cut stay; of those equal to it, the first ones, until k are kept.
            let above = row.iter().filter(|value| rank(**value).total_cmp(&cut) == Ordering::Greater).count();
            let mut equal_left = self.k.saturating_sub(above);
            for value in row.iter_mut() {
                match rank(*value).total_cmp(&cut) {
                    Ordering::Greater => {}
                    Ordering::Equal if equal_left > 0 => equal_left -= 1,
                    _ => *value = 0.0,
                }
            }
        }
        if !self.keeps_negative && !self.by_magnitude {
            row.iter_mut().for_each(|value| *value = relu(*value));
        }
    }
}

/// The `k`-th largest rank of `row`; `k` is at least 1 and less than the length.
fn cut(row: &[f32], k: usize, rank: impl Fn(f32) -> f32) -> f32 {
    let mut ranks: Vec<f32> = row.iter().map(|value| rank(*value)).collect();
    let (_, cut, _) = ranks.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    *cut
}

/// Features of a source that keeps the largest of each of `k` groups of neighbours (sparsify's groupmax).
pub(super) fn group_max(product: Tensor, bias: &Tensor, k: usize) -> Result<Tensor> {
    let bias = bias.to_vec1::<f32>()?;
    let group = bias.len() / k.max(1);
    if group == 0 {
        return refuse(format!("{} features cannot be divided into {k} groups", bias.len()));
    }
    on_processor(product, |product| {
        each_row(product, |row| {
            add(row, &bias);
            row.iter_mut().for_each(|value| *value = relu(*value));
            row.chunks_mut(group).for_each(keep_largest_of_group);
        })
    })
}

fn keep_largest_of_group(group: &mut [f32]) {
    let largest = group.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i))).map(|(i, _)| i);
    for (index, value) in group.iter_mut().enumerate() {
        if Some(index) != largest {
            *value = 0.0;
        }
    }
}

fn add(row: &mut [f32], bias: &[f32]) {
    row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
}

/// Runs `work` on the processor, and brings the result back to where `matrix` was.
fn on_processor(matrix: Tensor, work: impl FnOnce(Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let device = matrix.device().clone();
    if device.is_cpu() {
        return work(matrix);
    }
    Ok(work(matrix.to_device(&Device::Cpu)?)?.to_device(&device)?)
}

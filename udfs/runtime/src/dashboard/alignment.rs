//! What a feature's decoder row is made of: components, and attention heads.

use std::ops::Range;

use crate::model::Model;
use crate::ops::{top_k, with_values};
use crate::source::Source;
use crate::{Place, Result};

/// A component of a decoder row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aligned {
    /// Which one.
    pub component: u32,
    /// Its weight.
    pub weight: f32,
    /// The weight's share of the row's L1 norm.
    pub share: f32,
}

/// For each of some `features`, the `k` components with the largest weights, largest first: SAEDashboard's neuron alignment.
/// None for neurons, which are their own components.
///
/// # Errors
/// `NotFound` if there is no such feature.
pub fn alignment(source: &Source, features: Range<usize>, k: usize) -> Result<Option<Vec<Vec<Aligned>>>> {
    if source.decoder().is_err() {
        return Ok(None);
    }
    with_values(&source.decoder_rows(features)?, |values, width| {
        let of_row = |row: &[f32]| {
            let total: f32 = row.iter().map(|weight| weight.abs()).sum();
            let share = |weight: f32| if total > 0.0 { weight.abs() / total } else { 0.0 };
            let largest = top_k(row, k, |_, _| true).into_iter();
            largest.map(|(component, weight)| Aligned { component, weight, share: share(weight) }).collect()
        };
        Some(values.chunks_exact(width.max(1)).map(of_row).collect())
    })
}

/// For each of some `features`, each head's share of the decoder row's norms: SAEDashboard's `decoder_weights_dist`. None for a
/// source that does not write to attention heads.
///
/// # Errors
/// `NotFound` if there is no such feature.
pub fn head_shares(source: &Source, model: &Model, features: Range<usize>) -> Result<Option<Vec<Vec<f32>>>> {
    let config = model.config();
    let is_of_heads =
        source.output_point().place == Place::Z && source.config().d_out == config.n_heads * config.d_head;
    if !is_of_heads || source.decoder().is_err() {
        return Ok(None);
    }
    with_values(&source.decoder_rows(features)?, |values, width| {
        let of_row = |row: &[f32]| {
            let heads = row.chunks_exact(config.d_head.max(1));
            let norms: Vec<f32> =
                heads.map(|head| head.iter().map(|weight| weight * weight).sum::<f32>().sqrt()).collect();
            let total: f32 = norms.iter().sum();
            norms.into_iter().map(|norm| if total > 0.0 { norm / total } else { 0.0 }).collect()
        };
        Some(values.chunks_exact(width.max(1)).map(of_row).collect())
    })
}

//! Which tokens a feature makes likelier and unlikelier, by its weights alone.
//!
//! `logits = d @ W_U`, where `d` is what the feature writes to the residual stream: SAEDashboard's, with the unembedding as
//! the model has it and without the final norm.

use std::ops::Range;

use candle_core::DType;
use rayon::prelude::*;

use super::histogram::Histogram;
use crate::Result;
use crate::model::Model;
use crate::ops::{top_k, with_values};
use crate::source::Source;

/// How much of the logit weights is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogitSettings {
    /// Tokens at either end.
    pub tokens: usize,
    /// Bars of the histogram.
    pub bars: usize,
}

impl Default for LogitSettings {
    fn default() -> Self {
        Self { tokens: 10, bars: 50 }
    }
}

/// A feature's weights on the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct LogitWeights {
    /// Tokens that it promotes most, strongest first.
    pub top: Vec<(u32, f32)>,
    /// Tokens that it suppresses most, strongest first.
    pub bottom: Vec<(u32, f32)>,
    /// Of the weights on all tokens.
    pub histogram: Histogram,
}

/// The logit weights of some `features` of a source.
///
/// # Errors
/// `NotFound` if there is no such feature; `InvalidInput` if the source does not write to this model.
pub fn logit_weights(
    source: &Source,
    model: &Model,
    features: Range<usize>,
    settings: &LogitSettings,
) -> Result<Vec<LogitWeights>> {
    let directions = source.decoder_rows(features)?;
    let written = model.written_to_stream(&directions, source.output_point())?;
    let logits = model.direct_logits(&written)?.to_dtype(DType::F32)?;
    with_values(&logits, |values, width| {
        values.par_chunks_exact(width.max(1)).map(|row| of_row(row, settings)).collect()
    })
}

fn of_row(row: &[f32], settings: &LogitSettings) -> LogitWeights {
    let negated: Vec<f32> = row.iter().map(|value| -value).collect();
    let bottom = top_k(&negated, settings.tokens, |_, _| true);
    LogitWeights {
        top: top_k(row, settings.tokens, |_, _| true),
        bottom: bottom.into_iter().map(|(token, value)| (token, -value)).collect(),
        histogram: Histogram::new(row.iter().copied(), settings.bars),
    }
}

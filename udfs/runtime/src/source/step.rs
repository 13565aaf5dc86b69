//! What it takes to move one feature of an activation: its value there, and what a change of it writes.

use candle_core::Tensor;

use super::Source;
use crate::Result;

impl Source {
    /// Values `[N]` of feature `index` for `x` `[N, d_in]`, and for each position the factor that undoing the source's
    /// normalisation puts on what the feature writes.
    ///
    /// # Errors
    /// As [`Source::encode_feature`].
    pub(crate) fn encode_feature_with_gains(&self, x: &Tensor, index: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let values = self.encode_feature(x, index, &[])?;
        if self.config.architecture.is_transcoder() {
            let rows = values.len();
            return Ok((values, vec![1.0; rows]));
        }
        let (_, norms) = self.prepare(x)?;
        let gains = self.config.normalization.gains(&norms, values.len())?;
        Ok((values, gains))
    }

    /// What raising feature `index` by 1 writes `[d_out]`, but for the gain of the position.
    ///
    /// # Errors
    /// `NotFound` if there is no such feature.
    pub(crate) fn step(&self, index: usize) -> Result<Vec<f32>> {
        let mut direction = self.decoder_vector(index)?;
        if let Some(unit) = &self.unit {
            let unit: f32 = unit.get(index)?.to_scalar()?;
            direction.iter_mut().for_each(|value| *value /= unit);
        }
        Ok(direction)
    }
}

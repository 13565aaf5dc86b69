//! Encoding in blocks: all features of many rows without a matrix of them all.
//!
//! Features that are each on their own are computed for all rows at once, some neighbours at a time: the encoder is read
//! once for the whole batch, and a block is still in the cache when it is looked at. Where features of a position depend
//! on each other, a block has all features of some sequences.

use std::ops::Range;

use candle_core::Tensor;

use super::Source;
use super::encode::{Elementwise, Encoder};
use super::weights::Weights;
use crate::Result;

/// Values of a block, about: 16 MiB of them.
const BLOCK: usize = 4 << 20;
/// Features of a block at least, so that a product is worth its name.
const LEAST_FEATURES: usize = 256;

/// Some features of some rows.
#[derive(Debug)]
pub struct Block {
    /// Which rows of the input.
    pub rows: Range<usize>,
    /// Index of the first feature.
    pub first_feature: usize,
    /// `[rows, features]`, in single precision.
    pub values: Tensor,
}

impl Source {
    /// Lets `look` see all features of activations `x` `[N, d_in]`, block by block. Whole sequences are together in a
    /// block, features come in order, and so do rows. `sequences` are the rows of each sequence, in order.
    ///
    /// # Errors
    /// As [`Self::encode`]; what `look` fails with.
    pub fn encode_in_blocks(
        &self,
        x: &Tensor,
        sequences: &[Range<usize>],
        look: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        self.encode_in_blocks_from(0, x, sequences, look)
    }

    /// As [`Self::encode_in_blocks`], without features before `first`, at least where features are each on their own.
    ///
    /// # Errors
    /// As [`Self::encode_in_blocks`].
    pub(crate) fn encode_in_blocks_from(
        &self,
        first: usize,
        x: &Tensor,
        sequences: &[Range<usize>],
        look: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        match (&self.encoder, &self.weights) {
            (Encoder::Elementwise(elementwise), Some(weights)) => {
                self.some_features_at_a_time(first, elementwise, weights, &self.prepare(x)?.0, look)
            }
            _ => self.some_sequences_at_a_time(x, sequences, look),
        }
    }

    fn some_features_at_a_time(
        &self,
        first: usize,
        elementwise: &Elementwise,
        weights: &Weights,
        input: &Tensor,
        mut look: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        let rows = input.dim(0)?;
        let width = self.config.d_sae;
        let most = (BLOCK / rows.max(1)).max(LEAST_FEATURES);
        for first_feature in (first..width).step_by(most) {
            let some = most.min(width - first_feature);
            let mut directions = weights.encoder.narrow(1, first_feature, some)?;
            if !self.device.is_cpu() {
                directions = directions.contiguous()?;
            }
            let values = elementwise.narrow(first_feature, some)?.apply(input.matmul(&directions)?)?;
            look(Block { rows: 0..rows, first_feature, values })?;
        }
        Ok(())
    }

    fn some_sequences_at_a_time(
        &self,
        x: &Tensor,
        sequences: &[Range<usize>],
        mut look: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        let most = BLOCK / self.config.d_sae.max(1);
        let mut left = sequences;
        while let Some(first) = left.first() {
            let taken = left.iter().take_while(|sequence| sequence.end - first.start <= most).count().max(1);
            let (now, later) = left.split_at(taken);
            left = later;
            let rows = first.start..now.last().map_or(first.end, |last| last.end);
            let own: Vec<Range<usize>> = now.iter().map(|one| one.start - rows.start..one.end - rows.start).collect();
            let values = self.encode(&x.narrow(0, rows.start, rows.len())?, &own)?;
            look(Block { rows, first_feature: 0, values })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{BLOCK, Block};
    use crate::source::encode::{Activation, Encoder};
    use crate::source::weights::Weights;
    use crate::source::{Architecture, Config, Source};

    /// A source of made-up weights.
    fn source(d_in: usize, width: usize) -> Source {
        let device = Device::Cpu;
        let weights = Weights {
            encoder: Tensor::randn(0f32, 1.0, (d_in, width), &device).unwrap(),
            decoder: Tensor::randn(0f32, 1.0, (width, d_in), &device).unwrap(),
            encoder_bias: Tensor::randn(0f32, 1.0, width, &device).unwrap(),
            decoder_bias: Tensor::zeros(d_in, candle_core::DType::F32, &device).unwrap(),
            threshold: None,
            gate: None,
            skip: None,
            attention: Vec::new(),
            is_tied: false,
        };
        let encoder = Encoder::new(Activation::Relu, &weights, None).unwrap();
        let neurons = Source::neurons(0, d_in);
        let config = Config { architecture: Architecture::Standard, d_sae: width, ..neurons.config };
        Source { config, encoder, weights: Some(weights), ..neurons }
    }

    #[test]
    fn blocks_are_the_matrix_in_parts() {
        let source = source(4, 700);
        let rows = BLOCK / 300;
        let x = Tensor::randn(0f32, 1.0, (rows, 4), &Device::Cpu).unwrap();
        let whole = source.encode(&x, std::slice::from_ref(&(0..rows))).unwrap();
        let mut first = 0;
        source
            .encode_in_blocks(&x, std::slice::from_ref(&(0..rows)), |block: Block| {
                assert_eq!((block.rows.clone(), block.first_feature), (0..rows, first));
                let width = block.values.dim(1).unwrap();
                let same = whole.narrow(1, first, width).unwrap();
                let apart = (same - &block.values).unwrap().abs().unwrap().max_all().unwrap();
                assert!(apart.to_scalar::<f32>().unwrap() < 1e-5);
                first += width;
                Ok(())
            })
            .unwrap();
        assert_eq!(first, 700);
    }
}

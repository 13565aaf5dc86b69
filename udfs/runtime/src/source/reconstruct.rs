//! There and back: what a source makes of activations, with the features that it made it of.

use std::ops::Range;

use candle_core::Tensor;

use super::encode::Encoder;
use super::{Encoded, Source};
use crate::{Error, ErrorKind, Result};

/// Features of a block, about: 16 MiB of them.
const BLOCK: usize = 4 << 20;
/// Rows of a block at least, so that a product is worth its name.
const LEAST_ROWS: usize = 64;

/// Some rows, encoded and decoded again.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// Which rows of the input.
    pub rows: Range<usize>,
    /// Their features `[rows, F]`.
    pub features: Tensor,
    /// What [`Source::forward`] makes of them `[rows, d_out]`.
    pub output: Tensor,
}

impl Source {
    /// What the source makes of `x` `[N, d_in]`: the reconstruction `[N, d_out]`, or a transcoder's prediction with
    /// its linear path. The error term is what was there, less this.
    ///
    /// # Errors
    /// As [`Self::encode`]; `Unsupported` for a layer of a cross-layer transcoder, which does not reconstruct alone.
    pub fn forward(&self, x: &Tensor, sequences: &[Range<usize>]) -> Result<Tensor> {
        Ok(self.reconstruct(x, sequences)?.output)
    }

    /// As [`Self::forward`], with the features: those that [`Self::encode`] gives.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn reconstruct(&self, x: &Tensor, sequences: &[Range<usize>]) -> Result<Reconstruction> {
        self.check_reconstructs()?;
        let (encoded, predicted) = match (&self.encoder, &self.weights) {
            (Encoder::Temporal(temporal), Some(weights)) => {
                let (input, norms) = self.prepare(x)?;
                let codes = temporal.encode(&input, weights, sequences)?;
                (Encoded { features: codes.novel, norms }, Some(codes.predicted))
            }
            _ => (self.encode_for_decode(x, sequences)?, None),
        };
        let Encoded { features, norms } = encoded;
        let written = match predicted {
            Some(predicted) => (&features + predicted)?,
            None => features.clone(),
        };
        let mut output = self.decode(&written, Some(&norms))?;
        if let Some(skip) = self.weights.as_ref().and_then(|weights| weights.skip.as_ref()) {
            output = (output + self.accept(x, self.config.d_in, "activations")?.matmul(&skip.t()?)?)?;
        }
        Ok(Reconstruction { rows: 0..x.dim(0)?, features, output })
    }

    /// Lets `look` see the reconstruction of `x` `[N, d_in]` some rows at a time, in order, so that the features of all
    /// rows are never there together. `sequences` are the rows of each sequence, in order. Blocks may cut through a
    /// sequence, except where its positions depend on each other.
    ///
    /// # Errors
    /// As [`Self::forward`]; what `look` fails with.
    pub fn reconstruct_in_blocks(
        &self,
        x: &Tensor,
        sequences: &[Range<usize>],
        mut look: impl FnMut(Reconstruction) -> Result<()>,
    ) -> Result<()> {
        self.check_reconstructs()?;
        let all = x.dim(0)?;
        let most = (BLOCK / self.config.d_sae.max(1)).max(LEAST_ROWS);
        let blocks: Vec<Range<usize>> = match &self.encoder {
            Encoder::Temporal(_) if sequences.is_empty() => std::iter::once(0..all).collect(),
            Encoder::Temporal(_) => sequences.to_vec(),
            _ => (0..all).step_by(most).map(|start| start..(start + most).min(all)).collect(),
        };
        for rows in blocks {
            let found = self.reconstruct(&x.narrow(0, rows.start, rows.len())?, &[])?;
            look(Reconstruction { rows, ..found })?;
        }
        Ok(())
    }

    fn check_reconstructs(&self) -> Result<()> {
        if self.config.reconstructs {
            return Ok(());
        }
        let message = "one layer of a cross-layer transcoder does not reconstruct its output alone";
        Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("its features can be encoded; what they write is divided among all later layers"))
    }
}

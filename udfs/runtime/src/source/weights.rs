//! The weights of a source, checked against its configuration.
//!
//! A format hands over a [`Draft`]: tensors under SAELens' names, in SAELens' orientation. [`Weights`] are made from
//! it once, and every shape is checked there, so that the maths can rely on them.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::architecture::Architecture;
use super::config::Config;
use super::encode::Activation;
use super::tensors::Named;
use crate::{Error, ErrorKind, Result};

/// A source as its files describe it, before anything is folded.
#[derive(Debug)]
pub(super) struct Draft {
    pub config: Config,
    pub activation: Activation,
    /// By SAELens' name: `W_enc` `[d_in, F]`, `W_dec` `[F, d_out]`, `b_enc`, `b_dec`, `threshold` and so on.
    pub tensors: BTreeMap<String, Named>,
    /// Factor of `expected_average_only_in`, to be folded.
    pub scaling: Option<f64>,
    pub whitening: Option<Whitening>,
    /// Features are in units of the decoder's norms, and are divided by them before decoding.
    pub is_rescaled: bool,
}

/// An affine map of the input, to be folded: `z = (x − mean) @ matrix`, undone by `inverse`.
#[derive(Debug)]
pub(super) struct Whitening {
    pub mean: Named,
    pub matrix: Named,
    pub inverse: Named,
}

/// Tensors with the shapes that the configuration promises, in single precision.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// `[d_in, F]`, as a view of whatever layout the file had: both multiply without a copy.
    pub encoder: Tensor,
    /// `[F, d_out]`, row after row in memory.
    pub decoder: Tensor,
    pub encoder_bias: Tensor,
    pub decoder_bias: Tensor,
    pub threshold: Option<Tensor>,
    pub gate: Option<Gate>,
    /// `[d_out, d_in]`.
    pub skip: Option<Tensor>,
    pub attention: Vec<Attention>,
    /// Whether the encoder is a view of the decoder.
    pub is_tied: bool,
}

/// The two branches of a gated source, each `[F]`.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub bias: Tensor,
    pub magnitude_bias: Tensor,
    pub log_scale: Tensor,
}

/// One attention layer of a temporal source; each projection with its weight `[out, in]` and its bias.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    pub key: (Tensor, Tensor),
    pub query: (Tensor, Tensor),
    pub value: (Tensor, Tensor),
    pub output: (Tensor, Tensor),
}

impl Draft {
    /// Checks every tensor's shape and moves it to `device`.
    pub(super) fn weights(&self, device: &Device) -> Result<Weights> {
        let Config { d_in, d_sae, d_out, architecture, .. } = self.config;
        let take = |name: &str, shape: &[usize]| self.required(name)?.checked(shape, device);
        let decoder = take("W_dec", &[d_sae, d_out])?.contiguous()?;
        let is_tied = self.activation.is_tied();
        let encoder = if is_tied { decoder.t()? } else { take("W_enc", &[d_in, d_sae])? };
        let encoder_bias = match self.activation.has_bias() {
            true => take("b_enc", &[d_sae])?,
            false => Tensor::zeros(d_sae, candle_core::DType::F32, device)?,
        };
        let gate = match architecture {
            Architecture::Gated => Some(Gate {
                bias: take("b_gate", &[d_sae])?,
                magnitude_bias: take("b_mag", &[d_sae])?,
                log_scale: take("r_mag", &[d_sae])?,
            }),
            _ => None,
        };
        Ok(Weights {
            encoder,
            decoder,
            encoder_bias,
            decoder_bias: take("b_dec", &[d_out])?,
            threshold: architecture.has_threshold().then(|| take("threshold", &[d_sae])).transpose()?,
            gate,
            skip: architecture.has_skip().then(|| take("W_skip", &[d_out, d_in])).transpose()?,
            attention: self.attention(device)?,
            is_tied,
        })
    }

    fn attention(&self, device: &Device) -> Result<Vec<Attention>> {
        let Activation::Temporal(settings) = &self.activation else { return Ok(Vec::new()) };
        let width = self.config.d_sae;
        let projection = |layer: usize, name: &str, rows: usize| -> Result<(Tensor, Tensor)> {
            let weight = self.required(&format!("attn_layers.{layer}.{name}.weight"))?;
            let bias = self.required(&format!("attn_layers.{layer}.{name}.bias"))?;
            Ok((weight.checked(&[rows, width], device)?, bias.checked(&[rows], device)?))
        };
        let layer = |layer: usize| {
            Ok(Attention {
                key: projection(layer, "k_ctx", settings.bottleneck)?,
                query: projection(layer, "q_target", settings.bottleneck)?,
                value: projection(layer, "v_ctx", width)?,
                output: projection(layer, "c_proj", width)?,
            })
        };
        (0..settings.n_layers).map(layer).collect()
    }

    fn required(&self, name: &str) -> Result<&Named> {
        self.tensors.get(name).ok_or_else(|| {
            let message =
                format!("tensor {name} is missing, which the architecture {} needs", self.config.architecture);
            let error = Error::new(ErrorKind::BadFile, message).with_hint(
                "the weights and the configuration belong to different sources, or the format is another one",
            );
            match self.tensors.values().next() {
                Some(other) => error.within(other.file()),
                None => error,
            }
        })
    }
}

impl Weights {
    /// Bytes that the tensors take.
    pub(super) fn size_in_bytes(&self) -> usize {
        let gate = self.gate.iter().flat_map(|gate| [&gate.bias, &gate.magnitude_bias, &gate.log_scale]);
        let attention = self.attention.iter().flat_map(|layer| {
            [&layer.key, &layer.query, &layer.value, &layer.output].into_iter().flat_map(|(w, b)| [w, b])
        });
        [&self.decoder, &self.encoder_bias, &self.decoder_bias]
            .into_iter()
            .chain((!self.is_tied).then_some(&self.encoder))
            .chain(&self.threshold)
            .chain(&self.skip)
            .chain(gate)
            .chain(attention)
            .map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes())
            .sum()
    }
}

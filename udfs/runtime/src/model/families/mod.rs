//! What tells the families apart: how their configurations are read, and where their tensors are.

mod gemma;
mod gpt2;
mod llama;
mod neox;

use super::attention::Attention;
use super::block::Block;
use super::config::{Config, Family, Fields};
use super::linear::Linear;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rope::{Rope, Scaling};
use super::weights::Weights;
use crate::{Error, ErrorKind, Result};

/// The tensors of a model outside its blocks.
#[derive(Debug)]
pub(super) struct Outside {
    /// `[V, d]`.
    pub(super) embedding: candle_core::Tensor,
    /// `[n_ctx, d]`, where positions are learned.
    pub(super) positions: Option<candle_core::Tensor>,
    pub(super) final_norm: Norm,
    pub(super) unembedding: Linear,
}

/// Reads a family's configuration.
pub(super) fn config(family: Family, fields: &Fields<'_>) -> Result<Config> {
    match family {
        Family::Gpt2 => gpt2::config(fields),
        Family::GptNeoX => neox::config(fields),
        Family::Llama | Family::Mistral | Family::Qwen2 | Family::Qwen3 => llama::config(family, fields),
        Family::Gemma | Family::Gemma2 | Family::Gemma3 => gemma::config(family, fields),
    }
}

/// Loads a block.
pub(super) fn block(config: &Config, weights: &Weights, layer: usize) -> Result<Block> {
    match config.family {
        Family::Gpt2 => gpt2::block(config, weights, layer),
        Family::GptNeoX => neox::block(config, weights, layer),
        _ => llama::block(config, weights, layer),
    }
}

/// Loads what is outside the blocks.
pub(super) fn outside(config: &Config, weights: &Weights) -> Result<Outside> {
    match config.family {
        Family::Gpt2 => gpt2::outside(config, weights),
        Family::GptNeoX => neox::outside(config, weights),
        _ => llama::outside(config, weights),
    }
}

/// A norm of width `width`, with a bias if the family's norms have one.
fn norm(config: &Config, weights: &Weights, name: &str, width: usize) -> Result<Norm> {
    let gain = weights.exact(&format!("{name}.weight"), &[width])?;
    let bias = weights.optional_exact(&format!("{name}.bias"), &[width])?;
    Norm::new(config.norm, config.norm_eps, &gain, config.gain_offset, bias.as_ref())
}

/// A linear layer kept as `[out, in]`, with a bias if there is one.
fn linear(weights: &Weights, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
    let weight = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
    Linear::from_rows(&weight, weights.optional(&format!("{name}.bias"), &[outputs])?)
}

/// The rotary embeddings that a configuration describes, in the old way (`rope_theta`, `rope_scaling`) or in the new one
/// (`rope_parameters`).
fn rope(fields: &Fields<'_>, width: usize, default_theta: f64) -> Result<Rope> {
    let new = fields.nested("rope_parameters");
    let settings = new.as_ref().unwrap_or(fields);
    let theta = settings.number_or("rope_theta", fields.number_or("rope_theta", default_theta)?)?;
    let scaling = match new.or_else(|| fields.nested("rope_scaling")) {
        Some(scaling) => read_scaling(&scaling)?,
        None => Scaling::None,
    };
    Ok(Rope { width, theta, scaling })
}

fn read_scaling(fields: &Fields<'_>) -> Result<Scaling> {
    let kind = fields.text("rope_type").or_else(|_| fields.text("type")).unwrap_or("default");
    match kind {
        "default" => Ok(Scaling::None),
        "linear" => Ok(Scaling::Linear(fields.number_or("factor", 1.0)?)),
        "llama3" => Ok(Scaling::Llama3 {
            factor: fields.number_or("factor", 8.0)?,
            low: fields.number_or("low_freq_factor", 1.0)?,
            high: fields.number_or("high_freq_factor", 4.0)?,
            context: fields.number_or("original_max_position_embeddings", 8192.0)?,
        }),
        other => Err(Error::new(ErrorKind::Unsupported, format!("rotary embeddings of type {other:?} are not known"))
            .with_hint("known are default, linear and llama3")),
    }
}

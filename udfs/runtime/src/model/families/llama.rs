//! Llama and its relatives (Mistral, Qwen 2 and 3): RMSNorm, rotary embeddings, gated MLP, shared key heads. Gemma's tensors
//! are named alike, so they are loaded here too.

use candle_core::Tensor;

use super::{Attention, Block, Config, Family, Fields, Linear, Mlp, Outside, Weights, linear, norm, rope};
use crate::Result;
use crate::model::norm::NormKind;

pub(super) fn config(family: Family, fields: &Fields<'_>) -> Result<Config> {
    let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let n_layers = fields.size("num_hidden_layers")?;
    let d_head = fields.size_or_none("head_dim")?.unwrap_or(d_model / n_heads.max(1));
    let default_eps = if family == Family::Llama || family == Family::Mistral { 1e-5 } else { 1e-6 };
    Ok(Config {
        family,
        n_layers,
        d_model,
        n_heads,
        n_kv_heads: fields.size_or_none("num_key_value_heads")?.unwrap_or(n_heads),
        d_head,
        d_mlp: fields.size("intermediate_size")?,
        d_vocab: fields.size("vocab_size")?,
        n_ctx: fields.size("max_position_embeddings")?,
        norm: NormKind::Rms,
        norm_eps: fields.number_or("rms_norm_eps", default_eps)?,
        gain_offset: 0.0,
        ropes: vec![Some(rope(fields, d_head, 10_000.0)?); n_layers],
        windows: windows(family, fields, n_layers)?,
        parallel: false,
        qk_norm: family == Family::Qwen3,
        post_norms: false,
        attention_scale: 1.0 / (d_head as f64).sqrt(),
        attention_softcap: None,
        final_softcap: None,
        activation: fields.activation("hidden_act")?,
        gated: true,
        tied: fields.flag_or("tie_word_embeddings", false),
        embedding_scale: None,
    })
}

/// Mistral's window holds in every layer; Qwen's only where it is switched on, from a certain layer up.
fn windows(family: Family, fields: &Fields<'_>, n_layers: usize) -> Result<Vec<Option<usize>>> {
    let window = fields.size_or_none("sliding_window")?;
    let first = match family {
        Family::Mistral => 0,
        Family::Qwen2 | Family::Qwen3 if fields.flag_or("use_sliding_window", false) => {
            fields.size_or_none("max_window_layers")?.unwrap_or(n_layers)
        }
        _ => n_layers,
    };
    Ok((0..n_layers).map(|layer| window.filter(|_| layer >= first)).collect())
}

/// Queries, keys and values as one layer.
fn fused(config: &Config, weights: &Weights, within: &dyn Fn(&str) -> String) -> Result<Linear> {
    let (d, queries, keys) = (config.d_model, config.n_heads * config.d_head, config.n_kv_heads * config.d_head);
    let (mut rows, mut biases) = (Vec::new(), Vec::new());
    for (name, outputs) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
        rows.push(weights.tensor(&within(&format!("self_attn.{name}.weight")), &[outputs, d])?);
        biases.extend(weights.optional(&within(&format!("self_attn.{name}.bias")), &[outputs])?);
    }
    let bias = if biases.len() == rows.len() { Some(Tensor::cat(&biases, 0)?) } else { None };
    Linear::from_rows(&Tensor::cat(&rows, 0)?, bias)
}

pub(super) fn block(config: &Config, weights: &Weights, layer: usize) -> Result<Block> {
    let (d, d_mlp) = (config.d_model, config.d_mlp);
    let within = |name: &str| format!("layers.{layer}.{name}");
    let of_head = |name: &str| -> Result<_> {
        config.qk_norm.then(|| norm(config, weights, &within(name), config.d_head)).transpose()
    };
    let after =
        |name: &str| -> Result<_> { config.post_norms.then(|| norm(config, weights, &within(name), d)).transpose() };
    let before_mlp = if config.post_norms { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
    Ok(Block {
        norm1: norm(config, weights, &within("input_layernorm"), d)?,
        norm2: norm(config, weights, &within(before_mlp), d)?,
        post_attention: after("post_attention_layernorm")?,
        post_mlp: after("post_feedforward_layernorm")?,
        attention: Attention {
            qkv: fused(config, weights, &within)?,
            out: linear(weights, &within("self_attn.o_proj"), d, config.n_heads * config.d_head)?,
            query_norm: of_head("self_attn.q_norm")?,
            key_norm: of_head("self_attn.k_norm")?,
        },
        mlp: Mlp {
            gate: Some(linear(weights, &within("mlp.gate_proj"), d_mlp, d)?),
            up: linear(weights, &within("mlp.up_proj"), d_mlp, d)?,
            down: linear(weights, &within("mlp.down_proj"), d, d_mlp)?,
        },
    })
}

pub(super) fn outside(config: &Config, weights: &Weights) -> Result<Outside> {
    let shape = [config.d_vocab, config.d_model];
    let embedding = weights.tensor("embed_tokens.weight", &shape)?;
    let unembedding = if config.tied { embedding.clone() } else { weights.tensor("lm_head.weight", &shape)? };
    Ok(Outside {
        positions: None,
        final_norm: norm(config, weights, "norm", config.d_model)?,
        unembedding: Linear::from_rows(&unembedding, None)?,
        embedding,
    })
}

//! GPT-2: LayerNorm, learned positions, fused queries, keys and values, weights kept as `[in, out]`.

use super::{Attention, Block, Config, Family, Fields, Linear, Mlp, Outside, Weights, norm};
use crate::Result;
use crate::model::norm::NormKind;

pub(super) fn config(fields: &Fields<'_>) -> Result<Config> {
    let (d_model, n_heads, n_layers) = (fields.size("n_embd")?, fields.size("n_head")?, fields.size("n_layer")?);
    let d_head = d_model / n_heads.max(1);
    Ok(Config {
        family: Family::Gpt2,
        n_layers,
        d_model,
        n_heads,
        n_kv_heads: n_heads,
        d_head,
        d_mlp: fields.size_or_none("n_inner")?.unwrap_or(4 * d_model),
        d_vocab: fields.size("vocab_size")?,
        n_ctx: fields.size("n_positions")?,
        norm: NormKind::Layer,
        norm_eps: fields.number_or("layer_norm_epsilon", 1e-5)?,
        gain_offset: 0.0,
        ropes: vec![None; n_layers],
        windows: vec![None; n_layers],
        parallel: false,
        qk_norm: false,
        post_norms: false,
        attention_scale: 1.0 / (d_head as f64).sqrt(),
        attention_softcap: None,
        final_softcap: None,
        activation: fields.activation("activation_function")?,
        gated: false,
        tied: fields.flag_or("tie_word_embeddings", true),
        embedding_scale: None,
    })
}

/// A linear layer kept as `[in, out]`.
fn conv(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
    let weight = weights.tensor(&format!("{name}.weight"), &[inputs, outputs])?;
    Linear::from_columns(&weight, weights.optional(&format!("{name}.bias"), &[outputs])?)
}

pub(super) fn block(config: &Config, weights: &Weights, layer: usize) -> Result<Block> {
    let (d, d_mlp) = (config.d_model, config.d_mlp);
    let within = |name: &str| format!("h.{layer}.{name}");
    Ok(Block {
        norm1: norm(config, weights, &within("ln_1"), d)?,
        norm2: norm(config, weights, &within("ln_2"), d)?,
        post_attention: None,
        post_mlp: None,
        attention: Attention {
            qkv: conv(weights, &within("attn.c_attn"), d, 3 * d)?,
            out: conv(weights, &within("attn.c_proj"), d, d)?,
            query_norm: None,
            key_norm: None,
        },
        mlp: Mlp {
            gate: None,
            up: conv(weights, &within("mlp.c_fc"), d, d_mlp)?,
            down: conv(weights, &within("mlp.c_proj"), d_mlp, d)?,
        },
    })
}

pub(super) fn outside(config: &Config, weights: &Weights) -> Result<Outside> {
    let embedding = weights.tensor("wte.weight", &[config.d_vocab, config.d_model])?;
    let unembedding = match weights.optional("lm_head.weight", &[config.d_vocab, config.d_model])? {
        Some(weight) if !config.tied => weight,
        _ => embedding.clone(),
    };
    Ok(Outside {
        positions: Some(weights.tensor("wpe.weight", &[config.n_ctx, config.d_model])?),
        final_norm: norm(config, weights, "ln_f", config.d_model)?,
        unembedding: Linear::from_rows(&unembedding, None)?,
        embedding,
    })
}

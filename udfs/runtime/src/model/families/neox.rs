//! GPT-NeoX and Pythia: LayerNorm, rotary embeddings on part of a head, attention and MLP side by side.

use candle_core::Tensor;

use super::{Attention, Block, Config, Family, Fields, Linear, Mlp, Outside, Weights, linear, norm, rope};
use crate::Result;
use crate::model::norm::NormKind;

pub(super) fn config(fields: &Fields<'_>) -> Result<Config> {
    let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let n_layers = fields.size("num_hidden_layers")?;
    let d_head = d_model / n_heads.max(1);
    let share = match fields.nested("rope_parameters").and_then(|rope| rope.number_or_none("partial_rotary_factor")) {
        Some(share) => share,
        None => fields.number_or("rotary_pct", 0.25)?,
    };
    let default_theta = fields.number_or("rotary_emb_base", 10_000.0)?;
    let turned = (d_head as f64 * share) as usize;
    Ok(Config {
        family: Family::GptNeoX,
        n_layers,
        d_model,
        n_heads,
        n_kv_heads: n_heads,
        d_head,
        d_mlp: fields.size("intermediate_size")?,
        d_vocab: fields.size("vocab_size")?,
        n_ctx: fields.size("max_position_embeddings")?,
        norm: NormKind::Layer,
        norm_eps: fields.number_or("layer_norm_eps", 1e-5)?,
        gain_offset: 0.0,
        ropes: vec![Some(rope(fields, turned, default_theta)?); n_layers],
        windows: vec![None; n_layers],
        parallel: fields.flag_or("use_parallel_residual", true),
        qk_norm: false,
        post_norms: false,
        attention_scale: 1.0 / (d_head as f64).sqrt(),
        attention_softcap: None,
        final_softcap: None,
        activation: fields.activation("hidden_act")?,
        gated: false,
        tied: fields.flag_or("tie_word_embeddings", false),
        embedding_scale: None,
    })
}

/// The files keep, head by head, the rows of its query, key and value; here all queries come first, then keys, then values.
fn ungroup(config: &Config, fused: &Tensor) -> Result<Tensor> {
    let rest: Vec<usize> = fused.dims().iter().skip(1).copied().collect();
    let mut shape = vec![config.n_heads, 3, config.d_head];
    shape.extend(&rest);
    let mut flat = vec![3 * config.n_heads * config.d_head];
    flat.extend(&rest);
    Ok(fused.reshape(shape)?.transpose(0, 1)?.contiguous()?.reshape(flat)?)
}

pub(super) fn block(config: &Config, weights: &Weights, layer: usize) -> Result<Block> {
    let (d, d_mlp) = (config.d_model, config.d_mlp);
    let within = |name: &str| format!("layers.{layer}.{name}");
    let qkv = weights.tensor(&within("attention.query_key_value.weight"), &[3 * d, d])?;
    let qkv_bias = weights.optional(&within("attention.query_key_value.bias"), &[3 * d])?;
    let qkv_bias = qkv_bias.map(|bias| ungroup(config, &bias)).transpose()?;
    Ok(Block {
        norm1: norm(config, weights, &within("input_layernorm"), d)?,
        norm2: norm(config, weights, &within("post_attention_layernorm"), d)?,
        post_attention: None,
        post_mlp: None,
        attention: Attention {
            qkv: Linear::from_rows(&ungroup(config, &qkv)?, qkv_bias)?,
            out: linear(weights, &within("attention.dense"), d, d)?,
            query_norm: None,
            key_norm: None,
        },
        mlp: Mlp {
            gate: None,
            up: linear(weights, &within("mlp.dense_h_to_4h"), d_mlp, d)?,
            down: linear(weights, &within("mlp.dense_4h_to_h"), d, d_mlp)?,
        },
    })
}

pub(super) fn outside(config: &Config, weights: &Weights) -> Result<Outside> {
    let shape = [config.d_vocab, config.d_model];
    let embedding = weights.tensor("embed_in.weight", &shape)?;
    let unembedding = if config.tied { embedding.clone() } else { weights.tensor("embed_out.weight", &shape)? };
    Ok(Outside {
        positions: None,
        final_norm: norm(config, weights, "final_layer_norm", config.d_model)?,
        unembedding: Linear::from_rows(&unembedding, None)?,
        embedding,
    })
}

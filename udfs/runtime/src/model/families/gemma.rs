//! Gemma 1, 2 and 3: gains that are added to 1, scaled embeddings; from 2 on norms after attention and MLP and alternating
//! windows, in 2 soft caps, in 3 norms of queries and keys and two kinds of rotary embeddings.

use serde_json::Value;

use super::{Config, Family, Fields, rope};
use crate::model::norm::NormKind;
use crate::model::rope::{Rope, Scaling};
use crate::{Error, ErrorKind, Result};

pub(super) fn config(family: Family, fields: &Fields<'_>) -> Result<Config> {
    let (d_model, n_heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let n_layers = fields.size("num_hidden_layers")?;
    let d_head = fields.size_or_none("head_dim")?.unwrap_or(256);
    let sliding = sliding_layers(family, fields, n_layers)?;
    let window = fields.size_or_none("sliding_window")?;
    let scalar = match family {
        Family::Gemma => d_head as f64,
        _ => fields.number_or("query_pre_attn_scalar", 256.0)?,
    };
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
        norm_eps: fields.number_or("rms_norm_eps", 1e-6)?,
        gain_offset: 1.0,
        ropes: ropes(family, fields, d_head, &sliding)?,
        windows: sliding.iter().map(|slides| window.filter(|_| *slides)).collect(),
        parallel: false,
        qk_norm: family == Family::Gemma3,
        post_norms: family != Family::Gemma,
        attention_scale: 1.0 / scalar.sqrt(),
        attention_softcap: fields.number_or_none("attn_logit_softcapping"),
        final_softcap: fields.number_or_none("final_logit_softcapping"),
        // Gemma 1's files name `gelu`, and its code has always run the approximation.
        activation: match fields.activation("hidden_activation") {
            Ok(named) => named,
            Err(_) => crate::model::activation::Activation::GeluTanh,
        },
        gated: true,
        tied: fields.flag_or("tie_word_embeddings", true),
        embedding_scale: Some((d_model as f64).sqrt()),
    })
}

/// Which layers see a window only: as `layer_types` says; without it, in Gemma 2 those of even number, in Gemma 3 five of six.
fn sliding_layers(family: Family, fields: &Fields<'_>, n_layers: usize) -> Result<Vec<bool>> {
    if family == Family::Gemma {
        return Ok(vec![false; n_layers]);
    }
    if let Some(kinds) = fields.get("layer_types").and_then(Value::as_array) {
        let slides = kinds.iter().map(|kind| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("layer_types: {kind} is no kind of layer that is known"),
            )),
        });
        return slides.collect();
    }
    let every = match family {
        Family::Gemma3 => fields.size_or_none("sliding_window_pattern")?.unwrap_or(6).max(1),
        _ => 2,
    };
    Ok((0..n_layers).map(|layer| (layer + 1) % every != 0).collect())
}

/// In Gemma 3, layers with a window have rotary embeddings of their own, which nothing stretches.
fn ropes(family: Family, fields: &Fields<'_>, width: usize, sliding: &[bool]) -> Result<Vec<Option<Rope>>> {
    if family != Family::Gemma3 {
        return Ok(vec![Some(rope(fields, width, 10_000.0)?); sliding.len()]);
    }
    let (global, local) = match fields.nested("rope_parameters") {
        Some(by_kind) => {
            let of = |kind: &str, theta: f64| -> Result<Rope> {
                let settings = by_kind.nested(kind);
                let theta = match &settings {
                    Some(settings) => settings.number_or("rope_theta", theta)?,
                    None => theta,
                };
                let scaling = settings.map_or(Ok(Scaling::None), |settings| super::read_scaling(&settings))?;
                Ok(Rope { width, theta, scaling })
            };
            (of("full_attention", 1e6)?, of("sliding_attention", 1e4)?)
        }
        None => {
            let theta = fields.number_or("rope_local_base_freq", 1e4)?;
            (rope(fields, width, 1e6)?, Rope { width, theta, scaling: Scaling::None })
        }
    };
    Ok(sliding.iter().map(|slides| Some(if *slides { local.clone() } else { global.clone() })).collect())
}

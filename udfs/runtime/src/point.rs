//! Names of the points in a forward pass where a value can be read or replaced.
//!
//! Two vocabularies are understood: TransformerLens' hook names (`blocks.10.hook_resid_pre`), which SAEs carry
//! in their configurations, and interp-engine's points (`resid_pre.10`). A [`Point`] prints as the former.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// What a point holds, layer aside. `T` positions, `d` model width, `H` heads, `dh` head width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// Token embeddings `[T, d]`, scaled where the family scales them.
    Embed,
    /// Learned position embeddings `[T, d]`.
    PosEmbed,
    /// The residual stream before a block `[T, d]`.
    ResidPre,
    /// The first norm's input divided by its scale, before the gain `[T, d]`.
    Ln1Normalized,
    /// Queries after bias, before rotation `[T, H·dh]`.
    Query,
    /// Keys after bias, before rotation `[T, Hkv·dh]`.
    Key,
    /// Values `[T, Hkv·dh]`.
    Value,
    /// Attention weights `[H, T, T]`, rows sum to 1.
    Pattern,
    /// What the heads read, before the output projection `[T, H·dh]`.
    Z,
    /// The attention module's output, before a post-norm `[T, d]`.
    AttnRaw,
    /// What attention adds to the residual stream `[T, d]`.
    AttnOut,
    /// The residual stream between attention and MLP `[T, d]`; absent where the two run in parallel.
    ResidMid,
    /// The second norm's input divided by its scale, before the gain `[T, d]`.
    Ln2Normalized,
    /// The MLP's input, after the norm and its gain `[T, d]`.
    MlpIn,
    /// The MLP before its activation function `[T, d_mlp]`; the gate's branch where there is one.
    MlpPre,
    /// The branch that the gate multiplies `[T, d_mlp]`; absent without a gate.
    MlpPreLinear,
    /// Neurons: the input of the MLP's output projection `[T, d_mlp]`.
    MlpPost,
    /// The MLP module's output, before a post-norm `[T, d]`.
    MlpRaw,
    /// What the MLP adds to the residual stream `[T, d]`.
    MlpOut,
    /// The residual stream after a block `[T, d]`.
    ResidPost,
    /// The final norm's input divided by its scale, before the gain `[T, d]`.
    FinalNormalized,
    /// Logits `[T, V]`, after a soft cap.
    Logits,
}

/// Each place inside a block, with TransformerLens' name for it and interp-engine's.
const IN_BLOCK: &[(Place, &str, &str)] = &[
    (Place::ResidPre, "hook_resid_pre", "resid_pre"),
    (Place::Ln1Normalized, "ln1.hook_normalized", "ln1_normalized"),
    (Place::Query, "attn.hook_q", "query"),
    (Place::Key, "attn.hook_k", "key"),
    (Place::Value, "attn.hook_v", "value"),
    (Place::Pattern, "attn.hook_pattern", "attn_probs"),
    (Place::Z, "attn.hook_z", "z"),
    (Place::AttnRaw, "attn.hook_out", "attn_out"),
    (Place::AttnOut, "hook_attn_out", "attn_out_post"),
    (Place::ResidMid, "hook_resid_mid", "resid_mid"),
    (Place::Ln2Normalized, "ln2.hook_normalized", "pre_gain_normalized"),
    (Place::MlpIn, "mlp.hook_in", "mlp_in"),
    (Place::MlpPre, "mlp.hook_pre", "mlp_pre"),
    (Place::MlpPreLinear, "mlp.hook_pre_linear", "mlp_pre_linear"),
    (Place::MlpPost, "mlp.hook_post", "mlp_act"),
    (Place::MlpRaw, "mlp.hook_out", "mlp_out"),
    (Place::MlpOut, "hook_mlp_out", "mlp_out_post"),
    (Place::ResidPost, "hook_resid_post", "resid_post"),
];

/// Each place outside the blocks, with its name.
const OUTSIDE: &[(Place, &str)] = &[
    (Place::Embed, "hook_embed"),
    (Place::PosEmbed, "hook_pos_embed"),
    (Place::FinalNormalized, "ln_final.hook_normalized"),
    (Place::Logits, "logits"),
];

/// A point of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// Block it is in, counted from 0; 0 for places outside the blocks.
    pub layer: usize,
    /// What it holds.
    pub place: Place,
}

impl Point {
    /// The point `place` in block `layer`.
    pub fn new(place: Place, layer: usize) -> Self {
        Self { layer, place }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = OUTSIDE.iter().find(|(place, _)| *place == self.place) {
            return f.write_str(name);
        }
        let name = IN_BLOCK.iter().find(|(place, ..)| *place == self.place).map_or("?", |(_, name, _)| name);
        write!(f, "blocks.{}.{name}", self.layer)
    }
}

impl FromStr for Point {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((place, _)) = OUTSIDE.iter().find(|(_, name)| *name == text) {
            return Ok(Self::new(*place, 0));
        }
        block_point(text).or_else(|| layer_last(text)).ok_or_else(|| unknown(text))
    }
}

/// `blocks.10.hook_resid_pre`. `hook_mlp_in` is read as the MLP's input after the norm, which is what the weights
/// that name it were trained on, and not as TransformerLens' own hook of that name.
fn block_point(text: &str) -> Option<Point> {
    let (layer, name) = text.strip_prefix("blocks.")?.split_once('.')?;
    let name = if name == "hook_mlp_in" { "mlp.hook_in" } else { name };
    let (place, ..) = IN_BLOCK.iter().find(|(_, known, _)| *known == name)?;
    Some(Point::new(*place, layer.parse().ok()?))
}

/// `resid_pre.10`.
fn layer_last(text: &str) -> Option<Point> {
    let (name, layer) = text.rsplit_once('.')?;
    let (place, ..) = IN_BLOCK.iter().find(|(.., known)| *known == name)?;
    Some(Point::new(*place, layer.parse().ok()?))
}

fn unknown(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("there is no hook point {text:?}"))
        .with_hint("points are named as in blocks.10.hook_resid_pre or resid_pre.10")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{IN_BLOCK, Point};

    #[test]
    fn both_vocabularies_name_the_same_points() {
        for (place, hook, point) in IN_BLOCK {
            let expected = Point::new(*place, 7);
            assert_eq!(format!("blocks.7.{hook}").parse::<Point>().unwrap(), expected);
            assert_eq!(format!("{point}.7").parse::<Point>().unwrap(), expected);
            assert_eq!(expected.to_string().parse::<Point>().unwrap(), expected);
        }
    }

    #[test]
    fn an_unknown_point_is_refused_by_name() {
        let error = "blocks.x.hook_resid_pre".parse::<Point>().unwrap_err();
        assert!(error.message().contains("blocks.x.hook_resid_pre"));
    }
}

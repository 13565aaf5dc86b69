//! What a caller asks to have changed.

use std::sync::Arc;

use crate::Point;
use crate::source::Source;

/// A change of the value at a point, at some positions.
#[derive(Debug, Clone)]
pub struct Intervention {
    /// Where the value is changed. Any point with a width; for [`Change::Set`] and [`Change::Scale`] it has to be the point
    /// that the source writes ([`Source::output_point`]).
    pub point: Point,
    /// What is done.
    pub change: Change,
    /// At which positions.
    pub positions: Positions,
}

impl Intervention {
    /// A change along a direction at every position.
    pub fn new(point: Point, change: Change) -> Self {
        Self { point, change, positions: Positions::default() }
    }

    /// A change of a feature, where its source writes, at every position.
    pub fn feature(source: Arc<Source>, index: usize, change: impl FnOnce(Feature) -> Change) -> Self {
        let point = source.output_point();
        Self::new(point, change(Feature { source, index }))
    }

    /// The same at other positions.
    pub fn at(self, positions: Positions) -> Self {
        Self { positions, ..self }
    }
}

/// A feature of a source.
#[derive(Debug, Clone)]
pub struct Feature {
    /// The source.
    pub source: Arc<Source>,
    /// The feature in it.
    pub index: usize,
}

/// What is done to a value `h` `[width]` of a position. `v̂` is the direction divided by its norm, which is taken in f32.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change {
    /// `h += strength · v`.
    Add {
        /// `v` `[width]`; of any length.
        direction: Arc<[f32]>,
        /// Factor; at 0 nothing is done.
        strength: f32,
    },
    /// `h += min(1, 1 / ‖strength · v‖) · strength · ‖h‖ · v`: a share of the value's own length, and no more than that length.
    AddShare {
        /// `v` `[width]`.
        direction: Arc<[f32]>,
        /// Factor; at 0 nothing is done.
        strength: f32,
    },
    /// `h += (h · v̂)(ŵ - v̂)`: what is along one direction is put along another.
    Swap {
        /// `v` `[width]`.
        from: Arc<[f32]>,
        /// `w` `[width]`.
        to: Arc<[f32]>,
    },
    /// `h += (strength - 1)(h · v̂) v̂`: 0 takes the direction out, and at 1 nothing is done.
    Orthogonal {
        /// `v` `[width]`.
        direction: Arc<[f32]>,
        /// What the component along the direction is multiplied by.
        strength: f32,
    },
    /// `h += (min(h · v̂, most) - h · v̂) v̂`: the component along the direction is at most `most`.
    Cap {
        /// `v` `[width]`.
        direction: Arc<[f32]>,
        /// Largest component, in the units of `h`.
        most: f32,
    },
    /// `h += (value - f) W_dec`, with `f` the feature's activation at the position as the source's encoder computes it of the
    /// current value. Of a source that reads another point than it writes, `f` is read there.
    Set {
        /// The feature.
        feature: Feature,
        /// The activation that it is to have; 0 takes the feature out.
        value: f32,
    },
    /// `h += (factor - 1) f W_dec`, with `f` as in [`Set`](Self::Set); at 1 nothing is done.
    Scale {
        /// The feature.
        feature: Feature,
        /// What its activation is multiplied by.
        factor: f32,
    },
    /// `h = value`.
    Replace {
        /// The value `[width]`.
        value: Arc<[f32]>,
    },
}

impl Change {
    /// Takes a feature out: [`Set`](Self::Set) to 0.
    pub fn ablate(feature: Feature) -> Self {
        Self::Set { feature, value: 0.0 }
    }
}

/// Positions at which something is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// Which ones.
    pub which: Which,
    /// Whether the prompt's special tokens, BOS among them, are left as they are. Generated tokens are not looked at.
    pub skip_special: bool,
}

/// Which positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Which {
    /// All of the prompt and of what is generated.
    #[default]
    All,
    /// Those of the prompt.
    Prompt,
    /// Those of generated tokens: from the first one on, so that the prompt's last position, which makes it, is not one.
    Generated,
    /// These of the prompt, counted from 0.
    Chosen(Vec<usize>),
}

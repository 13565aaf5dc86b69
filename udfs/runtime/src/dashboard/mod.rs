//! What a feature's dashboard shows, as SAEDashboard computes it: from one pass over a corpus and from the weights.
//!
//! [`Firings`] is the pass: every position at which a feature is active. What it finds is sparse, and all that concerns
//! activations is made of it, feature by feature ([`activity`]), so that no part of the result depends on how the corpus was
//! cut into batches. [`LogitWeights`] and [`Directions`] need the weights alone.

mod activity;
mod firings;
mod histogram;
mod logits;
mod nearest;

pub use activity::{Activity, ActivitySettings, Example, Interval, activity};
pub use firings::{Firing, Firings};
pub use histogram::Histogram;
pub use logits::{LogitSettings, LogitWeights, logit_weights};
pub use nearest::Directions;
pub(crate) use nearest::LEAST_NORM;

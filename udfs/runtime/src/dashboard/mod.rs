//! What a feature's dashboard shows, as SAEDashboard computes it: from one pass over a corpus and from the weights.
//!
//! [`Firings`] is the pass: every position at which a feature is active. What it finds is sparse, and all that concerns
//! activations is made of it, feature by feature ([`activity`]), so that no part of the result depends on how the corpus was
//! cut into batches. [`LogitWeights`], [`Directions`] and [`alignment()`] need the weights alone.

mod activity;
mod alignment;
mod attributions;
mod components;
mod correlations;
mod firings;
mod histogram;
mod logits;
mod nearest;

pub use activity::{Activity, ActivitySettings, Example, Interval, activity};
pub use alignment::{Aligned, alignment, head_shares};
pub use attributions::{Attributions, Target};
pub use components::ComponentSums;
pub use correlations::{Correlated, FeaturePairs, Moments};
pub use firings::{Firing, Firings, Found};
pub use histogram::Histogram;
pub use logits::{LogitSettings, LogitWeights, logit_weights};
pub use nearest::Directions;
pub(crate) use nearest::LEAST_NORM;

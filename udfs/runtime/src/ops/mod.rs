//! The operations: what is made of a model's forward passes. Each is a [`Pass`](crate::service::Pass) over prompts, but for
//! [`Intervene`], which changes what the model computes.
//!
//! Values follow Neuronpedia's live server: decoder norms folded (unless a source was opened otherwise), nothing
//! else about the model's weights changed. Each operation says what it does about the BOS token.

mod activate;
mod activate_feature;
mod attention;
mod attribution;
mod by_token;
mod hidden;
mod intervene;
mod lens;
mod matrix;
mod ranking;
mod similar;

pub(crate) use attribution::HeadReads;
pub(crate) use matrix::with_values;
pub(crate) use ranking::top_k;

pub use activate::{Activate, FeatureActivation, RankBy, SourceQuery};
pub use activate_feature::{ActivateFeature, DirectFeatureAttribution, FeatureValues, Probe};
pub use attention::{Attention, AttentionPattern};
pub use by_token::{ActivateByToken, TokenFeatures};
pub use hidden::HiddenStates;
pub use intervene::{Intervene, Intervened};
pub use lens::{Lenses, Logits};
pub use similar::nearest_directions;

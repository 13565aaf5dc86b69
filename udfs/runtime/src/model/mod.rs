//! Language models: one generic decoder-only transformer, read from Hugging Face's files.
//!
//! [`Config`] says everything that the maths needs to know of a family (`families`); nothing after it asks which family a
//! model is of. Activations are packed: the tokens of all sequences of a [`Batch`] lie one after another, without
//! padding, so that linear layers see one matrix and no sequence can change another's result; attention runs per
//! sequence. A [`Tap`] reads or replaces values at every [`Point`](crate::Point), and a pass ends where it is told to.

mod activation;
mod attention;
mod batch;
mod block;
mod cache;
mod compact;
mod config;
mod ends;
mod families;
mod linear;
mod mlp;
mod norm;
mod reader;
mod rope;
mod softmax;
mod stream;
mod tap;
mod transformer;
mod walk;
mod weights;

pub(crate) use activation::{Activation, exp, is_plain, plain_slice};
pub use batch::Batch;
pub use cache::{Cache, SequenceCache};
pub use compact::StepWeights;
pub(crate) use config::Fields;
pub use config::{Config, Family};
pub(crate) use linear::{Linear, bytes};
pub(crate) use norm::{Norm, NormKind};
pub use tap::{Capture, Edit, NoTap, Tap};
pub use transformer::{Model, OpenOptions};
pub use walk::{LogitRows, Until};

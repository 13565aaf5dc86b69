//! Lenses: what the residual stream after each block says that the model will say.
//!
//! A lens brings the stream `h_l` after block `l` to where the last block leaves it, and then puts it through the model's own
//! final norm, unembedding and soft cap. The logit lens takes `h_l` as it is; the Jacobian lens takes `J_l h_l`, with `J_l` the
//! average Jacobian of the last stream by `h_l` over many prompts. Where a lens has no `J_l`, as for the last block, the stream
//! is taken as it is. Probabilities are over the whole vocabulary, whatever tokens are shown.

mod jacobian;
mod likeliest;
mod readout;

pub use jacobian::JacobianLens;
pub use likeliest::TokenLogit;
pub(crate) use likeliest::likeliest;
pub use readout::{Lens, PositionReadout, Readout};

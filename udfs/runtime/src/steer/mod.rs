//! Steering: what is changed in a model's values while it runs.
//!
//! An [`Intervention`] changes the value at one point: along a direction, or a feature of a source. A list of them is checked
//! against a model and a prompt once ([`Plan`]), before anything runs, and then applied in every pass: at a point in the order
//! of the list, each seeing what the one before it left. The stream before a block and the one after the block before it are
//! the same place. In a batch every sequence has its own plan, and only its rows are touched.

mod change;
mod intervention;
mod patterns;
mod plan;
mod tap;

pub use intervention::{Change, Feature, Intervention, Positions, Which};
pub use patterns::{Frozen, Patterns};
pub use plan::{Limits, Plan};
pub use tap::{SteerTap, Steered};

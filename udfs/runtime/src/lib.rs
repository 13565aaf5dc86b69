//! LatentDB's model runtime: language models with a tap at every named point, and the sources (SAEs,
//! transcoders, neurons) that read their features there.
//!
//! It knows tensors, files and tokens, and neither SQL nor the database.

pub mod dashboard;
mod device;
pub mod embed;
mod error;
pub mod eval;
pub mod generate;
mod lanes;
pub mod layout;
pub mod lens;
pub mod model;
pub mod ops;
mod point;
mod random;
pub mod service;
pub mod source;
pub mod steer;
pub mod tokens;

pub use candle_core::Tensor;
pub use device::DeviceName;
pub use error::{Error, ErrorKind, Result};
pub use point::{Place, Point};

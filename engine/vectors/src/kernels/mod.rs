//! The inner loops, for the widest instructions that the running processor has.

pub(crate) mod bytes;
pub(crate) mod floats;

//! Walks over the graph: greedily down the upper layers, then with a pool of candidates in one layer.
//!
//! Building and searching walk alike. A walk visits a node once at most, so it ends, whatever the links say.

mod beam;
mod pool;
mod scratch;
mod visited;

pub(crate) use beam::{Walk, WideWalk};
pub(crate) use pool::Candidate;
pub(crate) use scratch::{Scratch, Scratches};

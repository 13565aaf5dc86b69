//! Calls of models, planned like the rest of a query.
//!
//! The engine knows no model. A [`ModelService`] tells which functions it answers; to SQL they are functions like
//! others, with named options and defaults. The way of a call:
//!
//! 1. While a statement is planned, a [`marker`] stands for the function.
//! 2. [`hoist`], the last rule of the optimiser, takes each call out of the node that it stands in, whichever kind
//!    that is, and puts a [`node`] below that adds a column of answers. [`lift`] finds the calls in expressions and
//!    turns the conditions around them into guards ([`guards`]); [`raise`] brings conditions that ask back above joins.
//! 3. [`exec`] runs the node: it cuts the rows into requests ([`batcher`]), leaves out what needs no answer or has
//!    one already ([`memory`]), and hands rows on in order as answers arrive ([`stream`]).
//!
//! What always holds: a row is sent only if the statement looks at its answer; equal arguments of a function that is
//! not volatile are sent once within the memory of a node; requests grow only as the reader keeps reading; dropping
//! the rows drops the requests.

mod batcher;
mod carry;
mod definition;
mod demand;
mod exec;
mod guards;
mod hoist;
mod hoist_join;
mod lift;
mod marker;
mod memory;
mod node;
mod plan;
mod raise;
mod registry;
mod service;
mod stream;

pub(crate) use definition::definition;
pub(crate) use demand::OnDemand;
pub(crate) use hoist::HoistModelCalls;
pub(crate) use marker::{Marker, holds_call};
pub(crate) use plan::ModelQueryPlanner;
pub(crate) use registry::{ModelUser, Models};
pub use service::{ModelFunction, ModelLimits, ModelRequest, ModelService};

use crate::{Error, ErrorKind};

fn lost(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("a model call lost {what}"))
}

//! Prepared statements and portals: what `Parse` and `Bind` leave behind for `Execute`.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use latentdb_engine::{CopyIn, CopyOut, Prepared, RowStream, ScalarValue};

use super::encode::Rows;
use super::local::Local;

/// A statement that has been planned.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing: an empty query.
    Empty,
    /// A statement of the engine's.
    Statement(Prepared),
    /// A cursor over a query of the engine's.
    Declare { name: String, hold: bool, query: Prepared },
    /// Any other statement of the wire layer's.
    Local(Local),
}

impl Plan {
    /// The engine's part, whose parameters are to be bound.
    pub(super) fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::Statement(prepared) | Self::Declare { query: prepared, .. } => Some(prepared),
            Self::Empty | Self::Local(_) => None,
        }
    }
}

/// What `Parse` made.
#[derive(Debug)]
pub(super) struct PreparedStatement {
    /// The plan.
    pub plan: Plan,
    /// OIDs of its parameters, as the client will send them.
    pub parameter_oids: Vec<u32>,
}

/// What `Bind`, or `DECLARE`, made.
#[derive(Debug)]
pub(super) struct Portal {
    /// What to run; a cursor runs already.
    pub source: Option<Arc<PreparedStatement>>,
    /// Values of its parameters.
    pub parameters: Vec<ScalarValue>,
    /// Format codes of its result's columns, as the client gave them.
    pub formats: Vec<i16>,
    /// How far it got.
    pub state: PortalState,
    /// Outlives its transaction.
    pub hold: bool,
}

/// How far a portal got.
#[derive(Debug)]
pub(super) enum PortalState {
    /// Not begun.
    Ready,
    /// Rows were read, or can be.
    Open(RowSource),
    /// All done.
    Finished,
}

/// Rows of a running query, of which some may have been sent.
#[derive(Debug)]
pub(super) struct RowSource {
    /// First word of the command tag.
    pub command: &'static str,
    /// Columns, as the client was told them.
    pub announced: SchemaRef,
    /// Batches to come.
    pub stream: RowStream,
    /// The batch being sent.
    pub current: Option<Rows>,
    /// There are no more batches.
    pub exhausted: bool,
    /// Rows passed so far.
    pub position: u64,
}

impl RowSource {
    /// Rows of `stream`, which the client was told have the columns `announced`.
    pub(super) fn new(command: &'static str, stream: RowStream, announced: Option<SchemaRef>) -> Self {
        let announced = announced.unwrap_or_else(|| Arc::clone(stream.schema()));
        Self { command, announced, stream, current: None, exhausted: false, position: 0 }
    }
}

/// What came of starting a plan.
#[derive(Debug)]
pub(super) enum Started {
    /// Rows to send.
    Rows(RowSource),
    /// Rows of an open cursor to send or pass over.
    Fetch { name: String, extent: super::local::Extent, discard: bool },
    /// It is done.
    Done { tag: String, notice: Option<String> },
    /// The client is to send rows.
    CopyIn(CopyIn),
    /// Rows to send as lines.
    CopyOut(CopyOut),
    /// There was nothing to do.
    Empty,
}

//! LatentDB's engine: tables, catalogue and SQL, with no socket and no model in it.
//!
//! ```no_run
//! # async fn example() -> latentdb_engine::Result<()> {
//! use latentdb_engine::{Engine, EngineOptions};
//!
//! let engine = Engine::open("./mydb", EngineOptions::default()).await?;
//! let session = engine.session("ana");
//! let rows = session.query("SELECT count(*) FROM features").await?.collect().await?;
//! # Ok(()) }
//! ```
//!
//! What is awaited of a session, a load or an engine is boxed: its futures hold a whole query, and every crate that awaited them
//! bare would have the compiler walk through them again.

mod community;
mod engine;
mod erased;
mod error;
mod lookup;
mod models;
mod outcome;
mod pg_catalog;
mod runtime;
pub mod schema;
mod search;
mod sql;
mod statement;
mod storage;

pub use engine::{BulkTurn, Engine, EngineOptions, SessionOptions};
pub use error::{Error, ErrorKind, Result};
pub use models::{ModelFunction, ModelLimits, ModelRequest, ModelService};
pub use outcome::{CopyFormat, CopyIn, CopyOptions, CopyOut, Outcome, RowStream, TransactionStatus};
pub use sql::{
    FunctionParameter, Listener, Notices, Parameter, ParquetBytes, Procedure, Reached, RepeatedQuery, Session,
    parse_list, text_literal,
};
pub use statement::{Prepared, Statement};
pub use storage::load::{Load, StagedFile};
pub use storage::{CheckReport, Damage};

pub use arrow;
pub use datafusion::common::ScalarValue;
pub use datafusion::logical_expr::Volatility;

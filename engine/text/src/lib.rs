//! LatentDB's text search: a query language, its meaning without any index, and an index that finds the same rows faster and
//! ranks them by BM25.
//!
//! ```text
//! text ── analysis ── words ──┬── Query::matches        what a query means
//!                             └── SegmentBuilder ── Segment ──┬── matching          the same rows, by an index
//!                                                             └── Searcher::top_k   the best of them
//! ```
//!
//! - A [`Segment`] is the index of some texts, in one file or in memory, and never changes. It does not keep the texts.
//! - [`Query::matches`] is the definition; [`matching`] gives exactly the rows whose texts match.
//! - Scores of a [`Searcher`] do not depend on how rows are cut into segments, nor on rows that are dead.
//! - No text, query or file from outside makes anything here panic.
//!
//! It knows neither tables nor SQL, and is the only crate that names tantivy.

pub mod analysis;
mod error;
pub mod query;
pub mod search;
pub mod segment;
pub mod snippet;

pub use analysis::Analysis;
pub use error::{Error, ErrorKind, Result};
pub use query::{Limits, Matcher, Query};
pub use search::{Hit, Searcher, entries, matching};
pub use segment::{Segment, SegmentBuilder, merge};
pub use snippet::{SnippetStyle, snippet, snippet_as};

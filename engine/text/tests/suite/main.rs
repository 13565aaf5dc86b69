//! Text search as a whole: what queries mean, and that an index, however it is cut, finds and ranks the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod equality;
mod language;
mod made_up;
mod scores;
mod segments;
mod snippets;

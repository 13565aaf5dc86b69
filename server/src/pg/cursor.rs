//! Cursors and the other statements that the wire layer answers itself.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use latentdb_engine::{Prepared, ScalarValue, TransactionStatus};

use super::connection::{Connection, Step};
use super::encode::{Format, RowEncoder};
use super::errors::{Failure, Report, code};
use super::local::{Extent, Local};
use super::portal::{Plan, Portal, PortalState, RowSource, Started};
use super::tags;

impl Connection {
    /// Opens a cursor: runs the query and keeps its rows for `FETCH`.
    pub(super) async fn declare(
        &mut self,
        name: &str,
        hold: bool,
        query: &Prepared,
        parameters: Vec<ScalarValue>,
    ) -> Result<Started, Failure> {
        if !hold && self.session.transaction_status() == TransactionStatus::Idle {
            return Err(Failure::Statement(
                Report::new(code::NO_TRANSACTION, "DECLARE CURSOR can only be used in transaction blocks")
                    .with_hint("begin a transaction, or declare the cursor WITH HOLD"),
            ));
        }
        if self.portals.contains_key(name) {
            return Err(Failure::statement(code::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        let Started::Rows(mut source) = self.run(query, parameters).await? else {
            return Err(Failure::statement(code::SYNTAX_ERROR, "a cursor is declared for a query that gives rows"));
        };
        source.announced = Arc::clone(source.stream.schema());
        source.command = "FETCH";
        let state = PortalState::Open(source);
        let portal = Portal { source: None, parameters: Vec::new(), formats: Vec::new(), state, hold };
        self.portals.insert(name.to_owned(), portal);
        Ok(done("DECLARE CURSOR"))
    }

    pub(super) async fn run_local(&mut self, local: &Local) -> Result<Started, Failure> {
        match local {
            Local::Fetch { name, extent, discard } => {
                Ok(Started::Fetch { name: name.clone(), extent: *extent, discard: *discard })
            }
            Local::Close { name: None } => {
                self.portals.clear();
                Ok(done("CLOSE CURSOR ALL"))
            }
            Local::Close { name: Some(name) } => match self.portals.entry(name.clone()) {
                Entry::Occupied(portal) => {
                    portal.remove();
                    Ok(done("CLOSE CURSOR"))
                }
                Entry::Vacant(_) => Err(no_cursor(name)),
            },
            Local::Deallocate { name: Some(name), .. } if self.statements.remove(name).is_some() => {
                Ok(done("DEALLOCATE"))
            }
            Local::Deallocate { name, text } => {
                if name.is_none() {
                    self.statements.clear();
                }
                self.run_text(text).await
            }
            Local::DiscardAll { text } => {
                self.statements.clear();
                self.portals.clear();
                self.run_text(text).await
            }
            // Planned as `Plan::Declare`, with its query.
            Local::Declare { .. } => Err(Failure::statement(code::SYNTAX_ERROR, "a cursor needs a query")),
        }
    }

    /// Runs a statement that concerns the engine too.
    async fn run_text(&mut self, text: &str) -> Result<Started, Failure> {
        let Some(statement) = self.session.parse(text)?.pop() else { return Ok(Started::Empty) };
        match self.plan(Step::Engine(statement), &[]).await? {
            Plan::Statement(prepared) => self.run(&prepared, Vec::new()).await,
            _ => Ok(Started::Empty),
        }
    }

    /// Sends rows of a cursor, or passes over them, and completes the statement.
    pub(super) async fn fetch(
        &mut self,
        name: &str,
        extent: Extent,
        discard: bool,
        formats: &[i16],
    ) -> Result<(), Failure> {
        self.cursor(name)?;
        let Some(mut portal) = self.portals.remove(name) else { return Err(no_cursor(name)) };
        let PortalState::Open(source) = &mut portal.state else { return Err(no_cursor(name)) };
        let rows = self.fetch_from(source, extent, discard, formats).await?;
        self.portals.insert(name.to_owned(), portal);
        self.complete(tags::counted(if discard { "MOVE" } else { "FETCH" }, rows), None)
    }

    async fn fetch_from(
        &mut self,
        source: &mut RowSource,
        extent: Extent,
        discard: bool,
        formats: &[i16],
    ) -> Result<u64, Failure> {
        let (before, wanted) = reach(extent, source.position)?;
        self.skip_rows(source, before).await?;
        if discard {
            return self.skip_rows(source, wanted).await;
        }
        let formats = Format::for_columns(formats, source.announced.fields().len())?;
        let encoder = RowEncoder::new(formats, self.style());
        self.send_rows(source, &encoder, wanted).await
    }

    /// The open cursor called `name`.
    pub(super) fn cursor(&self, name: &str) -> Result<&RowSource, Failure> {
        match self.portals.get(name).map(|portal| &portal.state) {
            Some(PortalState::Open(source)) => Ok(source),
            _ => Err(no_cursor(name)),
        }
    }
}

/// Rows to pass over and then to take, for a cursor that stands behind row `position`.
fn reach(extent: Extent, position: u64) -> Result<(u64, u64), Failure> {
    let one_ahead = |distance: u64| if distance == 0 { (0, 0) } else { (distance - 1, 1) };
    Ok(match extent {
        Extent::Next(count) => (0, count),
        Extent::Rest => (0, u64::MAX),
        Extent::Relative(distance) => one_ahead(distance),
        Extent::Absolute(row) => one_ahead(
            row.checked_sub(position)
                .ok_or_else(|| Failure::statement(code::NOT_IN_STATE, "cursor can only scan forward"))?,
        ),
    })
}

fn done(tag: &str) -> Started {
    Started::Done { tag: tag.to_owned(), notice: None }
}

fn no_cursor(name: &str) -> Failure {
    Failure::statement(code::UNDEFINED_CURSOR, format!("cursor \"{name}\" does not exist"))
}

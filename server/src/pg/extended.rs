//! The extended protocol: statements are parsed, bound and executed in separate messages.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::Connection;
use super::encode::{Format, RowEncoder, describe};
use super::errors::{Failure, code};
use super::local::Local;
use super::portal::{Plan, Portal, PortalState, PreparedStatement, RowSource, Started};
use super::{decode, tags, types};

/// Most prepared statements, and most portals, of one connection.
const MAX_NAMED: usize = 10_000;

impl Connection {
    pub(super) async fn parse(&mut self, message: Parse) -> Result<(), Failure> {
        let name = message.name.unwrap_or_default();
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Failure::statement(
                code::DUPLICATE_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        if self.statements.len() >= MAX_NAMED {
            return Err(Failure::statement(code::LIMIT_EXCEEDED, "too many prepared statements on this connection"));
        }
        let hints: Vec<_> = message.type_oids.iter().map(|oid| types::of_oid(*oid)).collect();
        let mut steps = self.steps(&message.query)?;
        let plan = match (steps.pop(), steps.is_empty()) {
            (None, _) => Plan::Empty,
            (Some(step), true) => self.plan(step, &hints).await?,
            (Some(_), false) => {
                return Err(Failure::statement(
                    code::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                ));
            }
        };
        let expected = plan.prepared().map_or(&[][..], |prepared| prepared.parameters());
        let declared = |position: usize| message.type_oids.get(position).copied();
        let parameter_oids = expected
            .iter()
            .enumerate()
            .map(|(position, data_type)| decode::parameter_oid(declared(position), data_type))
            .collect();
        self.statements.insert(name, Arc::new(PreparedStatement { plan, parameter_oids }));
        self.wire.put(PgWireBackendMessage::ParseComplete(ParseComplete::new()))
    }

    pub(super) fn bind(&mut self, message: Bind) -> Result<(), Failure> {
        let name = message.portal_name.unwrap_or_default();
        let statement_name = message.statement_name.unwrap_or_default();
        let statement = Arc::clone(self.statement(&statement_name)?);
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Failure::statement(code::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        if self.portals.len() >= MAX_NAMED {
            return Err(Failure::statement(code::LIMIT_EXCEEDED, "too many portals on this connection"));
        }
        let expected = statement.plan.prepared().map_or(&[][..], |prepared| prepared.parameters());
        if message.parameters.len() != expected.len() {
            return Err(Failure::statement(
                code::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{statement_name}\" requires {}",
                    message.parameters.len(),
                    expected.len()
                ),
            ));
        }
        let formats = Format::for_columns(&message.parameter_format_codes, expected.len())?;
        let mut parameters = Vec::with_capacity(expected.len());
        for (((value, format), oid), data_type) in
            message.parameters.iter().zip(formats).zip(&statement.parameter_oids).zip(expected)
        {
            parameters.push(decode::parameter(value.as_deref(), format, *oid, data_type)?);
        }
        let portal = Portal {
            source: Some(statement),
            parameters,
            formats: message.result_column_format_codes,
            state: PortalState::Ready,
            hold: false,
        };
        self.portals.insert(name, portal);
        self.wire.put(PgWireBackendMessage::BindComplete(BindComplete::new()))
    }

    pub(super) fn describe(&mut self, message: &Describe) -> Result<(), Failure> {
        let name = message.name.as_deref().unwrap_or_default();
        let (schema, codes) = match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => {
                let statement = Arc::clone(self.statement(name)?);
                let parameters = ParameterDescription::new(statement.parameter_oids.clone());
                self.wire.put(PgWireBackendMessage::ParameterDescription(parameters))?;
                (self.schema_of(&statement.plan), Vec::new())
            }
            TARGET_TYPE_BYTE_PORTAL => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                let schema = match (&portal.state, &portal.source) {
                    (PortalState::Open(source), _) => Some(Arc::clone(&source.announced)),
                    (_, Some(statement)) => self.schema_of(&statement.plan),
                    (_, None) => None,
                };
                (schema, portal.formats.clone())
            }
            other => return Err(Failure::protocol(format!("invalid DESCRIBE message subtype {other}"))),
        };
        self.wire.put(match schema {
            None => PgWireBackendMessage::NoData(NoData::new()),
            Some(schema) => {
                let formats = Format::for_columns(&codes, schema.fields().len())?;
                PgWireBackendMessage::RowDescription(RowDescription::new(describe(&schema, Some(&formats))?))
            }
        })
    }

    /// Columns of what `plan` gives back, if it gives rows.
    fn schema_of(&self, plan: &Plan) -> Option<SchemaRef> {
        match plan {
            Plan::Statement(prepared) => prepared.schema().map(Arc::clone),
            Plan::Local(Local::Fetch { name, discard: false, .. }) => {
                self.cursor(name).ok().map(|source| Arc::clone(&source.announced))
            }
            _ => None,
        }
    }

    pub(super) async fn execute(&mut self, message: &Execute) -> Result<(), Failure> {
        let name = message.name.clone().unwrap_or_default();
        // Taken out while it runs; a portal that fails is gone.
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let limit = u64::try_from(message.max_rows).ok().filter(|rows| *rows > 0).unwrap_or(u64::MAX);
        self.advance(&mut portal, limit).await?;
        self.portals.insert(name, portal);
        Ok(())
    }

    async fn advance(&mut self, portal: &mut Portal, limit: u64) -> Result<(), Failure> {
        match std::mem::replace(&mut portal.state, PortalState::Finished) {
            PortalState::Open(source) => self.advance_rows(portal, source, limit).await,
            PortalState::Ready => self.begin(portal, limit).await,
            PortalState::Finished => {
                Err(Failure::statement(code::NOT_IN_STATE, "this portal has run already and cannot be run again"))
            }
        }
    }

    async fn begin(&mut self, portal: &mut Portal, limit: u64) -> Result<(), Failure> {
        let Some(statement) = portal.source.clone() else {
            return Err(Failure::statement(code::NOT_IN_STATE, "this cursor cannot be run again"));
        };
        let parameters = std::mem::take(&mut portal.parameters);
        match self.start(&statement.plan, parameters).await? {
            Started::Rows(mut source) if self.schema_of(&statement.plan).is_none() => {
                // The client was told that no rows come, so they are computed and not sent.
                self.skip_rows(&mut source, u64::MAX).await?;
                self.complete(tags::counted(source.command, 0), None)
            }
            Started::Rows(source) => self.advance_rows(portal, source, limit).await,
            Started::Fetch { name, extent, discard } => {
                let formats = portal.formats.clone();
                self.fetch(&name, extent, discard, &formats).await
            }
            Started::Done { tag, notice } => self.complete(tag, notice.as_deref()),
            Started::CopyIn(copy) => self.copy_in(copy).await,
            Started::CopyOut(copy) => self.copy_out(copy).await,
            Started::Empty => self.wire.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())),
        }
    }

    async fn advance_rows(&mut self, portal: &mut Portal, mut source: RowSource, limit: u64) -> Result<(), Failure> {
        let formats = Format::for_columns(&portal.formats, source.announced.fields().len())?;
        let encoder = RowEncoder::new(formats, self.style());
        let sent = self.send_rows(&mut source, &encoder, limit).await?;
        // As in Postgres, a portal that was asked for exactly its last row does not know that it was.
        let suspended = sent == limit;
        let command = source.command;
        portal.state = PortalState::Open(source);
        if suspended {
            return self.wire.put(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
        }
        self.complete(tags::counted(command, sent), None)
    }

    pub(super) fn close_named(&mut self, message: &Close) -> Result<(), Failure> {
        let name = message.name.as_deref().unwrap_or_default();
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => drop(self.statements.remove(name)),
            TARGET_TYPE_BYTE_PORTAL => drop(self.portals.remove(name)),
            other => return Err(Failure::protocol(format!("invalid CLOSE message subtype {other}"))),
        }
        self.wire.put(PgWireBackendMessage::CloseComplete(CloseComplete::new()))
    }

    fn statement(&self, name: &str) -> Result<&Arc<PreparedStatement>, Failure> {
        self.statements.get(name).ok_or_else(|| {
            Failure::statement(code::UNDEFINED_STATEMENT, format!("prepared statement \"{name}\" does not exist"))
        })
    }
}

fn no_portal(name: &str) -> Failure {
    Failure::statement(code::UNDEFINED_CURSOR, format!("portal \"{name}\" does not exist"))
}

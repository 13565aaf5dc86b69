//! The simple protocol: a string of statements, all results as text.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::RowDescription;
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::{Connection, Step};
use super::encode::{Format, RowEncoder, describe};
use super::errors::Failure;
use super::portal::{RowSource, Started};
use super::tags;

impl Connection {
    /// Runs the statements of `sql` one after the other; the first that fails is the last.
    pub(super) async fn query(&mut self, sql: &str) -> Result<(), Failure> {
        // A simple query takes the place of what was prepared without a name.
        self.statements.remove("");
        self.portals.remove("");
        let steps = self.steps(sql)?;
        if steps.is_empty() {
            self.wire.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?;
        }
        for step in steps {
            self.query_step(step).await?;
        }
        self.ready().await
    }

    async fn query_step(&mut self, step: Step) -> Result<(), Failure> {
        let plan = self.plan(step, &[]).await?;
        match self.start(&plan, Vec::new()).await? {
            Started::Rows(source) => self.query_rows(source).await,
            Started::Fetch { name, extent, discard } => {
                let schema = Arc::clone(&self.cursor(&name)?.announced);
                if !discard {
                    self.announce(&schema)?;
                }
                self.fetch(&name, extent, discard, &[]).await
            }
            Started::Done { tag, notice } => self.complete(tag, notice.as_deref()),
            Started::CopyIn(copy) => self.copy_in(copy).await,
            Started::CopyOut(copy) => self.copy_out(copy).await,
            Started::Empty => self.wire.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())),
        }
    }

    async fn query_rows(&mut self, mut source: RowSource) -> Result<(), Failure> {
        // Nothing was announced yet, so what comes is what the client is told.
        source.announced = Arc::clone(source.stream.schema());
        self.announce(&Arc::clone(&source.announced))?;
        let encoder = RowEncoder::new(vec![Format::Text; source.announced.fields().len()], self.style());
        let sent = self.send_rows(&mut source, &encoder, u64::MAX).await?;
        self.complete(tags::counted(source.command, sent), None)
    }

    fn announce(&mut self, schema: &SchemaRef) -> Result<(), Failure> {
        self.wire.put(PgWireBackendMessage::RowDescription(RowDescription::new(describe(schema, None)?)))
    }
}

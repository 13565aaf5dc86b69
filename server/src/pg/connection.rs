//! A client's connection after start-up: the message loop, and what both protocols share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use latentdb_engine::{Outcome, Prepared, ScalarValue, Session, Statement, TransactionStatus};
use pgwire::messages::response::{CommandComplete, ReadyForQuery, TransactionStatus as WireStatus};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio_util::sync::CancellationToken;

use super::cancel::Registration;
use super::encode::{RowEncoder, Rows, Style};
use super::errors::{Failure, Report, code, notice};
use super::local::{self, Local};
use super::portal::{Plan, Portal, PreparedStatement, RowSource, Started};
use super::startup::{Admitted, parameter_status};
use super::wire::{FLUSH_AT, Wire};
use super::{split, tags};

/// Rows that wait for their successors are sent after this long.
const LINGER: Duration = Duration::from_millis(50);

/// One client.
pub(super) struct Connection {
    pub wire: Wire,
    pub session: Session,
    pub statements: HashMap<String, Arc<PreparedStatement>>,
    pub portals: HashMap<String, Portal>,
    /// After an error in the extended protocol everything up to `Sync` is passed over.
    skipping: bool,
    shutdown: CancellationToken,
    _registration: Registration,
}

/// A statement of a query string, read but not planned.
pub(super) enum Step {
    Engine(Statement),
    Local(Local),
}

impl Connection {
    pub(super) fn new(wire: Wire, admitted: Admitted, shutdown: CancellationToken) -> Self {
        Self {
            wire,
            session: admitted.session,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
            shutdown,
            _registration: admitted.registration,
        }
    }

    /// Serves the client until it leaves.
    pub(super) async fn serve(mut self) {
        match self.converse().await {
            Ok(()) => {}
            Err(Failure::Disconnected) => return,
            Err(Failure::Fatal(report) | Failure::Statement(report)) => {
                tracing::debug!(code = report.code(), message = report.message(), "connection ends");
                let _ = self.wire.put(PgWireBackendMessage::ErrorResponse(report.response("FATAL")));
            }
        }
        self.wire.close().await;
    }

    async fn converse(&mut self) -> Result<(), Failure> {
        loop {
            let message = match self.receive().await? {
                None | Some(PgWireFrontendMessage::Terminate(_)) => return Ok(()),
                Some(message) => message,
            };
            let extended = message.is_extended_query();
            if self.skipping && !matches!(message, PgWireFrontendMessage::Sync(_)) {
                continue;
            }
            match Box::pin(self.handle(message)).await {
                Ok(()) => {}
                Err(Failure::Statement(report)) => self.report(&report, extended).await?,
                Err(ending) => return Err(ending),
            }
        }
    }

    /// The client's next message, for as long as the server is up.
    pub(super) async fn receive(&mut self) -> Result<Option<PgWireFrontendMessage>, Failure> {
        tokio::select! {
            message = self.wire.receive() => message,
            () = self.shutdown.cancelled() => Err(Failure::shutdown()),
            () = self.session.terminated() => Err(Failure::shutdown()),
        }
    }

    async fn handle(&mut self, message: PgWireFrontendMessage) -> Result<(), Failure> {
        match message {
            PgWireFrontendMessage::Query(query) => self.query(&query.query).await,
            PgWireFrontendMessage::Parse(parse) => self.parse(parse).await,
            PgWireFrontendMessage::Bind(bind) => self.bind(bind),
            PgWireFrontendMessage::Describe(describe) => self.describe(&describe),
            PgWireFrontendMessage::Execute(execute) => self.execute(&execute).await,
            PgWireFrontendMessage::Close(close) => self.close_named(&close),
            PgWireFrontendMessage::Flush(_) => self.wire.flush().await,
            PgWireFrontendMessage::Sync(_) => {
                self.skipping = false;
                self.ready().await
            }
            // The rest of a COPY that has failed already.
            PgWireFrontendMessage::CopyData(_)
            | PgWireFrontendMessage::CopyDone(_)
            | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            _ => Err(Failure::protocol("unexpected message")),
        }
    }

    async fn report(&mut self, report: &Report, extended: bool) -> Result<(), Failure> {
        self.session.fail();
        metrics::counter!("latentdb_statements_total", "protocol" => "pg", "outcome" => "error").increment(1);
        tracing::debug!(code = report.code(), message = report.message(), "statement failed");
        self.wire.put(PgWireBackendMessage::ErrorResponse(report.response("ERROR")))?;
        if extended {
            self.skipping = true;
            self.wire.flush().await
        } else {
            self.ready().await
        }
    }

    /// Tells the client what changed and that it is its turn.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => WireStatus::Idle,
            TransactionStatus::Open => WireStatus::Transaction,
            TransactionStatus::Failed => WireStatus::Error,
        };
        if status == WireStatus::Idle {
            self.portals.retain(|_, portal| portal.hold);
        }
        for (name, value) in self.session.take_reports() {
            self.wire.put(parameter_status(name, value))?;
        }
        self.wire.put(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status)))?;
        self.wire.flush().await
    }

    /// What to watch while the engine works.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { wire: &self.wire, session: &self.session, shutdown: &self.shutdown }
    }

    /// Reads `sql` as statements, without planning them.
    pub(super) fn steps(&self, sql: &str) -> Result<Vec<Step>, Failure> {
        let pieces = split::statements(sql);
        let locals = pieces.iter().map(|(_, piece)| local::parse(piece)).collect::<Result<Vec<_>, _>>()?;
        if locals.iter().all(Option::is_none) {
            return Ok(self.session.parse(sql)?.into_iter().map(Step::Engine).collect());
        }
        let mut steps = Vec::new();
        for ((start, piece), local) in pieces.into_iter().zip(locals) {
            match local {
                Some(local) => steps.push(Step::Local(local)),
                None => {
                    let before = sql.get(..start).map_or(0, |before| before.chars().count());
                    let statements = self.session.parse(piece).map_err(|error| Report::from(error).shifted(before))?;
                    steps.extend(statements.into_iter().map(Step::Engine));
                }
            }
        }
        Ok(steps)
    }

    /// Plans a statement.
    pub(super) async fn plan(
        &mut self,
        step: Step,
        hints: &[Option<arrow::datatypes::DataType>],
    ) -> Result<Plan, Failure> {
        Ok(match step {
            Step::Engine(statement) => {
                Plan::Statement(self.watch().over(Box::pin(self.session.prepare(&statement, hints))).await?)
            }
            Step::Local(Local::Declare { name, hold, query }) => {
                let mut statements = self.session.parse(&query)?;
                let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
                    return Err(Failure::statement(code::SYNTAX_ERROR, "a cursor is declared for exactly one query"));
                };
                Plan::Declare {
                    name,
                    hold,
                    query: self.watch().over(Box::pin(self.session.prepare(&statement, hints))).await?,
                }
            }
            Step::Local(local) => Plan::Local(local),
        })
    }

    /// Runs a plan up to where rows or lines begin to flow.
    pub(super) async fn start(&mut self, plan: &Plan, parameters: Vec<ScalarValue>) -> Result<Started, Failure> {
        match plan {
            Plan::Empty => Ok(Started::Empty),
            Plan::Statement(prepared) => self.run(prepared, parameters).await,
            Plan::Declare { name, hold, query } => self.declare(name, *hold, query, parameters).await,
            Plan::Local(local) => self.run_local(local).await,
        }
    }

    pub(super) async fn run(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Started, Failure> {
        let began = Instant::now();
        let outcome = self.outcome(prepared, parameters).await?;
        metrics::histogram!("latentdb_statement_start_seconds", "protocol" => "pg").record(began.elapsed());
        Ok(match outcome {
            Outcome::Rows { command, rows } => {
                Started::Rows(RowSource::new(command, rows, prepared.schema().map(Arc::clone)))
            }
            Outcome::Changed { command, rows } => Started::Done { tag: tags::counted(command, rows), notice: None },
            Outcome::Done { command, notice } => Started::Done { tag: command.to_owned(), notice },
            Outcome::CopyIn(copy) => Started::CopyIn(copy),
            Outcome::CopyOut(copy) => Started::CopyOut(copy),
        })
    }

    /// Runs a statement, and passes on what it says meanwhile.
    async fn outcome(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Outcome, Failure> {
        let session = self.session.clone();
        let mut listener = session.listen();
        let mut work = Box::pin(session.execute(prepared, parameters));
        loop {
            let watch = self.watch();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done?),
                ending = watch.interrupted() => return Err(ending),
                remark = listener.next() => {
                    self.remark(&remark)?;
                    self.flush_rows().await?;
                }
            }
        }
    }

    /// Queues a notice, unless the client wants none.
    fn remark(&mut self, remark: &str) -> Result<(), Failure> {
        let least = self.session.setting("client_min_messages");
        match least.as_deref() {
            Some("warning" | "error") => Ok(()),
            _ => self.wire.put(PgWireBackendMessage::NoticeResponse(notice(remark))),
        }
    }

    /// How text looks, by the session's settings.
    pub(super) fn style(&self) -> Style {
        Style::with_zone(self.session.setting("TimeZone").as_deref())
    }

    /// Sends up to `limit` rows; answers how many.
    pub(super) async fn send_rows(
        &mut self,
        source: &mut RowSource,
        encoder: &RowEncoder,
        limit: u64,
    ) -> Result<u64, Failure> {
        let mut sent = 0;
        while sent < limit && self.fill(source).await? {
            let Some(rows) = source.current.as_mut() else { break };
            let wanted = usize::try_from(limit - sent).unwrap_or(usize::MAX);
            let written = encoder.encode(rows, wanted, FLUSH_AT, &mut self.wire.output) as u64;
            sent += written;
            source.position += written;
            if self.wire.output.len() >= FLUSH_AT {
                self.flush_rows().await?;
            }
        }
        metrics::counter!("latentdb_rows_sent_total", "protocol" => "pg").increment(sent);
        Ok(sent)
    }

    /// Passes over up to `limit` rows; answers how many.
    pub(super) async fn skip_rows(&mut self, source: &mut RowSource, limit: u64) -> Result<u64, Failure> {
        let mut skipped = 0;
        while skipped < limit && self.fill(source).await? {
            let Some(rows) = source.current.as_mut() else { break };
            let passed = rows.skip(usize::try_from(limit - skipped).unwrap_or(usize::MAX)) as u64;
            skipped += passed;
            source.position += passed;
        }
        Ok(skipped)
    }

    /// Sees to it that `source` has a row at hand; `false` at the end.
    pub(super) async fn fill(&mut self, source: &mut RowSource) -> Result<bool, Failure> {
        loop {
            if source.current.as_ref().is_some_and(|rows| rows.remaining() > 0) {
                return Ok(true);
            }
            if source.exhausted {
                return Ok(false);
            }
            source.current = None;
            let has_output = !self.wire.output.is_empty();
            let watch = self.watch();
            tokio::select! {
                biased;
                batch = source.stream.next() => match batch {
                    Some(batch) => source.current = Some(Rows::new(&batch?, &source.announced)?),
                    None => source.exhausted = true,
                },
                ending = watch.interrupted() => return Err(ending),
                () = tokio::time::sleep(LINGER), if has_output => self.flush_rows().await?,
            }
        }
    }

    /// Sends what is queued, waiting for the client to take it, but not beyond the server's end.
    pub(super) async fn flush_rows(&mut self) -> Result<(), Failure> {
        tokio::select! {
            flushed = self.wire.flush() => flushed,
            () = self.shutdown.cancelled() => {
                self.session.cancel();
                // Half a message may have gone out: nothing more can be said to this client.
                Err(Failure::Disconnected)
            }
        }
    }

    /// Ends a statement for the client.
    pub(super) fn complete(&mut self, tag: String, remark: Option<&str>) -> Result<(), Failure> {
        metrics::counter!("latentdb_statements_total", "protocol" => "pg", "outcome" => "ok").increment(1);
        if let Some(remark) = remark {
            self.remark(remark)?;
        }
        self.wire.put(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)))
    }
}

/// Whoever a statement runs for: its client, and the server.
pub(super) struct Watch<'a> {
    wire: &'a Wire,
    session: &'a Session,
    shutdown: &'a CancellationToken,
}

impl Watch<'_> {
    /// Waits for the engine's `work`, unless it has nobody to work for any more.
    pub(super) async fn over<T>(self, work: impl Future<Output = latentdb_engine::Result<T>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => Ok(done?),
            ending = self.interrupted() => Err(ending),
        }
    }

    /// Ends when the client is gone or the server shuts down; stops what the session runs.
    async fn interrupted(&self) -> Failure {
        let ending = tokio::select! {
            () = self.wire.vanished() => Failure::Disconnected,
            () = self.shutdown.cancelled() => Failure::shutdown(),
            () = self.session.terminated() => Failure::shutdown(),
        };
        self.session.cancel();
        ending
    }
}

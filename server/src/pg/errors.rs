//! What a client is told when something fails, and what becomes of its connection.

use std::fmt::Display;
use std::io;

use latentdb_engine::{Error, ErrorKind};
use pgwire::error::PgWireError;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};

/// An `ErrorResponse` in the making.
#[derive(Debug)]
pub(super) struct Report {
    code: &'static str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
}

/// SQLSTATEs that the wire protocol itself gives rise to; all others come with engine errors.
pub(super) mod code {
    /// protocol_violation
    pub(in crate::pg) const PROTOCOL_VIOLATION: &str = "08P01";
    /// invalid_authorization_specification
    pub(in crate::pg) const INVALID_AUTHORIZATION: &str = "28000";
    /// invalid_password
    pub(in crate::pg) const INVALID_PASSWORD: &str = "28P01";
    /// too_many_connections
    pub(in crate::pg) const TOO_MANY_CONNECTIONS: &str = "53300";
    /// admin_shutdown
    pub(in crate::pg) const ADMIN_SHUTDOWN: &str = "57P01";
    /// query_canceled
    pub(in crate::pg) const QUERY_CANCELED: &str = "57014";
    /// syntax_error
    pub(in crate::pg) const SYNTAX_ERROR: &str = "42601";
    /// invalid_sql_statement_name
    pub(in crate::pg) const UNDEFINED_STATEMENT: &str = "26000";
    /// invalid_cursor_name
    pub(in crate::pg) const UNDEFINED_CURSOR: &str = "34000";
    /// duplicate_cursor
    pub(in crate::pg) const DUPLICATE_CURSOR: &str = "42P03";
    /// duplicate_prepared_statement
    pub(in crate::pg) const DUPLICATE_STATEMENT: &str = "42P05";
    /// object_not_in_prerequisite_state
    pub(in crate::pg) const NOT_IN_STATE: &str = "55000";
    /// no_active_sql_transaction
    pub(in crate::pg) const NO_TRANSACTION: &str = "25P01";
    /// invalid_text_representation
    pub(in crate::pg) const INVALID_TEXT: &str = "22P02";
    /// invalid_binary_representation
    pub(in crate::pg) const INVALID_BINARY: &str = "22P03";
    /// numeric_value_out_of_range
    pub(in crate::pg) const OUT_OF_RANGE: &str = "22003";
    /// feature_not_supported
    pub(in crate::pg) const UNSUPPORTED: &str = "0A000";
    /// program_limit_exceeded
    pub(in crate::pg) const LIMIT_EXCEEDED: &str = "54000";
}

impl Report {
    /// A report of SQLSTATE `code`.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None, position: None }
    }

    /// Adds what to do about it.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what lies behind it.
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Moves the position, which counts within a statement, to where that statement starts in the query.
    pub(super) fn shifted(mut self, characters: usize) -> Self {
        self.position = self.position.map(|position| position + characters);
        self
    }

    /// Its SQLSTATE.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// Its message.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The message to send.
    pub(super) fn response(&self, severity: &str) -> ErrorResponse {
        let mut fields = vec![(b'S', severity.to_owned()), (b'V', severity.to_owned()), (b'C', self.code.to_owned())];
        fields.push((b'M', without_nul(&self.message)));
        fields.extend(self.detail.as_deref().map(|detail| (b'D', without_nul(detail))));
        fields.extend(self.hint.as_deref().map(|hint| (b'H', without_nul(hint))));
        fields.extend(self.position.map(|position| (b'P', position.to_string())));
        ErrorResponse::new(fields)
    }
}

/// A remark that is no error.
pub(super) fn notice(message: &str) -> NoticeResponse {
    let field = |kind, value: &str| (kind, without_nul(value));
    NoticeResponse::new(vec![field(b'S', "NOTICE"), field(b'V', "NOTICE"), field(b'C', "00000"), field(b'M', message)])
}

/// Fields end at a NUL, so text that holds one would garble the rest of the message.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Internal {
            tracing::error!(message = error.message(), detail = error.detail(), "internal error in a statement");
        }
        Self {
            code: error.sqlstate(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position: error.position(),
        }
    }
}

/// Why a connection's work stopped.
#[derive(Debug)]
pub(super) enum Failure {
    /// The statement failed; the connection goes on.
    Statement(Report),
    /// The client is told and the connection ends.
    Fatal(Report),
    /// The client is gone: there is nobody to tell.
    Disconnected,
}

impl Failure {
    /// A statement-level failure with the wire layer's own SQLSTATE.
    pub(super) fn statement(code: &'static str, message: impl Into<String>) -> Self {
        Self::Statement(Report::new(code, message))
    }

    /// A failure that ends the connection.
    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::Fatal(Report::new(code, message))
    }

    /// The client sent something that the protocol does not allow here.
    pub(super) fn protocol(message: impl Display) -> Self {
        Self::fatal(code::PROTOCOL_VIOLATION, message.to_string())
    }

    /// The server is going down.
    pub(super) fn shutdown() -> Self {
        Self::fatal(code::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Statement(error.into())
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Statement(report)
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Disconnected
    }
}

impl From<PgWireError> for Failure {
    fn from(error: PgWireError) -> Self {
        match error {
            PgWireError::IoError(_) => Self::Disconnected,
            other => Self::protocol(other),
        }
    }
}

//! From the first message to the first `ReadyForQuery`: protocol version, who the client is, and the
//! settings it asks for.

use std::net::SocketAddr;

use latentdb_engine::{Session, SessionOptions};
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, Startup};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};

use super::Server;
use super::cancel::{self, Registration};
use super::errors::{Failure, Report, code, notice};
use super::scram;
use super::wire::Wire;

/// Settings that every client is told at the start, and what to say if the session has none.
const ANNOUNCED: [(&str, &str); 12] = [
    ("server_version", "16.4"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("is_superuser", "on"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("in_hot_standby", "off"),
    ("default_transaction_read_only", "off"),
];

/// A client that has been let in.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Its session.
    pub session: Session,
    /// Its place among those that can be cancelled.
    pub registration: Registration,
}

/// Goes through the start-up exchange. `None` if the client only came to cancel another's statement.
pub(super) async fn admit(
    wire: &mut Wire,
    server: &Server,
    peer: SocketAddr,
    crowded: bool,
) -> Result<Option<Admitted>, Failure> {
    let startup = match wire.receive().await? {
        Some(PgWireFrontendMessage::Startup(startup)) => startup,
        Some(PgWireFrontendMessage::CancelRequest(request)) => {
            server.registry.cancel(request.pid, &request.secret_key);
            return Ok(None);
        }
        Some(_) => return Err(Failure::protocol("expected a start-up message")),
        None => return Err(Failure::Disconnected),
    };
    let protocol = negotiate(wire, &startup)?;
    wire.begin_authentication(protocol);
    if crowded {
        return Err(Failure::fatal(code::TOO_MANY_CONNECTIONS, "sorry, too many clients already"));
    }
    let user = check_identity(wire, server, &startup)?;
    if server.options.require_password || !peer.ip().to_canonical().is_loopback() {
        scram::authenticate(wire, &server.engine, user, &server.decoy).await?;
    }
    wire.put(PgWireBackendMessage::Authentication(Authentication::Ok))?;
    let admitted = open_session(wire, server, &startup, user, protocol)?;
    wire.begin_session();
    wire.put(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)))?;
    wire.flush().await?;
    Ok(Some(admitted))
}

/// Settles on a protocol version; tells the client if it asked for a newer one or for unknown extensions.
fn negotiate(wire: &mut Wire, startup: &Startup) -> Result<ProtocolVersion, Failure> {
    let requested = ProtocolVersion::from_version_number(startup.protocol_number_major, startup.protocol_number_minor);
    let protocol = requested.unwrap_or(ProtocolVersion::PROTOCOL3_2);
    let unknown: Vec<String> = startup.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if requested.is_none() || !unknown.is_empty() {
        let answer = NegotiateProtocolVersion::new(protocol.into(), unknown);
        wire.put(PgWireBackendMessage::NegotiateProtocolVersion(answer))?;
    }
    Ok(protocol)
}

fn check_identity<'a>(wire: &Wire, server: &Server, startup: &'a Startup) -> Result<&'a str, Failure> {
    if server.options.require_tls && !wire.is_encrypted() {
        return Err(Failure::Fatal(
            Report::new(code::INVALID_AUTHORIZATION, "this server takes encrypted connections only")
                .with_hint("connect with sslmode=require"),
        ));
    }
    let replication = startup.parameters.get("replication").map(String::as_str);
    if !matches!(replication, None | Some("" | "false" | "off" | "no" | "0")) {
        return Err(Failure::fatal(code::UNSUPPORTED, "replication connections are not supported"));
    }
    match startup.parameters.get("user") {
        Some(user) if !user.is_empty() => Ok(user),
        _ => Err(Failure::fatal(code::INVALID_AUTHORIZATION, "no user name specified in the start-up message")),
    }
}

fn open_session(
    wire: &mut Wire,
    server: &Server,
    startup: &Startup,
    user: &str,
    protocol: ProtocolVersion,
) -> Result<Admitted, Failure> {
    let process_id = server.registry.process_id();
    let session = server.engine.session_with(SessionOptions {
        user: user.to_owned(),
        application_name: startup.parameters.get("application_name").cloned().unwrap_or_default(),
        process_id,
    });
    for (name, value) in requested_settings(startup) {
        // A driver that asks for a setting we lack can do without it: better to serve than to refuse.
        if let Err(error) = session.set(&name, &value) {
            wire.put(PgWireBackendMessage::NoticeResponse(notice(error.message())))?;
        }
    }
    for (name, default) in ANNOUNCED {
        let value = session.setting(name).unwrap_or_else(|| default.to_owned());
        wire.put(parameter_status(name.to_owned(), value))?;
    }
    wire.put(parameter_status("session_authorization".to_owned(), user.to_owned()))?;
    session.take_reports();

    let secret = cancel::secret(protocol == ProtocolVersion::PROTOCOL3_2);
    let registration = server.registry.register(process_id, &secret, session.clone());
    wire.put(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(process_id, secret)))?;
    Ok(Admitted { session, registration })
}

/// Tells the client the value of a setting.
pub(super) fn parameter_status(name: String, value: String) -> PgWireBackendMessage {
    PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))
}

/// Settings named in the start-up message, directly or in its `options`.
fn requested_settings(startup: &Startup) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in &startup.parameters {
        match name.as_str() {
            // The database is accepted as given: a server serves exactly one.
            "user" | "database" | "replication" => {}
            "options" => settings.extend(command_line_settings(value)),
            name if name.starts_with("_pq_.") => {}
            name => settings.push((name.to_owned(), value.clone())),
        }
    }
    settings
}

/// Reads `-c name=value --other=value`; a backslash makes the next character, such as a space, ordinary.
fn command_line_settings(options: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().unwrap_or_default(),
            Some(assignment) => assignment.to_owned(),
            None => continue,
        };
        if let Some((name, value)) = assignment.split_once('=') {
            settings.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    settings
}

fn words(options: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match (character, words.last_mut()) {
            ('\\', Some(word)) => word.extend(characters.next()),
            (character, _) if character.is_whitespace() => words.push(String::new()),
            (character, Some(word)) => word.push(character),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_on_a_servers_command_line() {
        let settings = command_line_settings(r"-c statement_timeout=5s --search-path=a,\ b -cgeqo=off -x");
        let expected = [("statement_timeout", "5s"), ("search_path", "a, b"), ("geqo", "off")];
        assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

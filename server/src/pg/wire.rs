//! One client's socket: messages in, an output buffer that is flushed when it is full or asked to be,
//! and a watch on whether the client is still there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::BytesMut;
use pgwire::error::PgWireResult;
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use pgwire::tokio::server::MaybeTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use super::errors::Failure;

/// Output is handed to the socket once this much has gathered.
pub(super) const FLUSH_AT: usize = 64 * 1024;
/// Longest message before the client has proved who it is.
const MAX_STARTUP_MESSAGE: usize = 10_000;
/// How often a client that has sent more than we have read is checked for having left.
const PRESENCE_CHECK: Duration = Duration::from_millis(50);

/// A connection's socket and buffers.
pub(super) struct Wire {
    socket: MaybeTls,
    input: BytesMut,
    /// What waits to be sent. Row encoders write here directly.
    pub output: BytesMut,
    protocol: ProtocolVersion,
    phase: Phase,
    max_message: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Startup,
    Authentication,
    Session,
}

impl Wire {
    /// A wire over `socket`, of which `input` was read already.
    pub(super) fn new(socket: MaybeTls, input: BytesMut, max_message: usize) -> Self {
        Self {
            socket,
            input,
            output: BytesMut::with_capacity(FLUSH_AT + 8 * 1024),
            // Until the client names its version: lets a cancel request carry a secret of any length.
            protocol: ProtocolVersion::PROTOCOL3_2,
            phase: Phase::Startup,
            max_message,
        }
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.socket, MaybeTls::Tls(_))
    }

    /// Whether something was read that no message has been made of.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The start-up message came: from now on messages have a type byte.
    pub(super) fn begin_authentication(&mut self, protocol: ProtocolVersion) {
        self.protocol = protocol;
        self.phase = Phase::Authentication;
    }

    /// The client is known: it may send long messages.
    pub(super) fn begin_session(&mut self) {
        self.phase = Phase::Session;
    }

    /// Queues a message.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> Result<(), Failure> {
        Ok(message.encode(&mut self.output)?)
    }

    /// Sends everything queued, waiting for as long as the client takes to read it.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        self.socket.write_all_buf(&mut self.output).await?;
        self.socket.flush().await?;
        // One huge row must not keep its memory for the life of the connection.
        if self.output.capacity() > 16 * FLUSH_AT {
            self.output = BytesMut::with_capacity(FLUSH_AT + 8 * 1024);
        } else {
            self.output.reserve(FLUSH_AT);
        }
        Ok(())
    }

    /// The next message; `None` when the client closes the connection. Safe to drop and call again.
    pub(super) async fn receive(&mut self) -> Result<Option<PgWireFrontendMessage>, Failure> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(Some(message));
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn decode(&mut self) -> Result<Option<PgWireFrontendMessage>, Failure> {
        let type_bytes = usize::from(self.phase != Phase::Startup);
        let Some(length) = self.input.get(type_bytes..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        let limit = if self.phase == Phase::Session { self.max_message } else { MAX_STARTUP_MESSAGE };
        let least = if self.phase == Phase::Startup { 8 } else { 4 };
        if length < least || length > limit {
            return Err(Failure::protocol(format!(
                "invalid message length {length}: it must lie in {least} .. {limit}"
            )));
        }
        let total = type_bytes + length;
        if self.input.len() < total {
            self.input.reserve(total - self.input.len());
            return Ok(None);
        }
        let mut frame = self.input.split_to(total);
        let mut context = DecodeContext::new(self.protocol);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = self.phase == Phase::Startup;
        match guarded(|| PgWireFrontendMessage::decode(&mut frame, &context))? {
            Some(message) => Ok(Some(message)),
            None => Err(Failure::protocol("truncated message")),
        }
    }

    /// Ends once the client has closed its side or the connection broke. What it sent before that stays
    /// unread.
    pub(super) async fn vanished(&self) {
        let socket = match &self.socket {
            MaybeTls::Plain(socket) => socket,
            MaybeTls::Tls(socket) => socket.get_ref().0,
            _ => return std::future::pending().await,
        };
        loop {
            match socket.ready(Interest::READABLE).await {
                Ok(ready) if ready.is_read_closed() || ready.is_error() => return,
                Ok(_) => tokio::time::sleep(PRESENCE_CHECK).await,
                Err(_) => return,
            }
        }
    }

    /// Sends what is queued, if the client takes it, and closes the connection.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            if self.flush().await.is_ok() {
                let _ = self.socket.shutdown().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}

/// Decodes a message's body. The decoders trust the counts within a message and panic where it ends too
/// early; here that is the client's fault like any other malformed message.
pub(super) fn guarded<T>(decode: impl FnOnce() -> PgWireResult<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => Ok(decoded?),
        Err(_) => Err(Failure::protocol("malformed message")),
    }
}

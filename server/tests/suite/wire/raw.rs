//! A client that sends messages byte by byte and shows what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message of the server: its type and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: char,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A field of an `ErrorResponse` or `NoticeResponse`.
    pub(crate) fn field(&self, kind: char) -> Option<String> {
        self.body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&(kind as u8)))
            .map(|field| String::from_utf8(field[1..].to_vec()).unwrap())
    }

    /// The body as text, up to its NUL.
    pub(crate) fn text(&self) -> String {
        let end = self.body.iter().position(|byte| *byte == 0).unwrap_or(self.body.len());
        String::from_utf8(self.body[..end].to_vec()).unwrap()
    }
}

/// A connection without a driver.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap() }
    }

    /// A connection of user `ana` that is ready for queries, and what it was told on the way.
    pub(crate) async fn ready(address: SocketAddr) -> (Self, Vec<Message>) {
        let mut raw = Self::connect(address).await;
        raw.start(&[("user", "ana"), ("database", "anything")]).await;
        let told = raw.until_ready().await;
        (raw, told)
    }

    /// Sends a start-up message.
    pub(crate) async fn start(&mut self, parameters: &[(&str, &str)]) {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        self.send_untyped(&body).await;
    }

    /// Sends a message without a type, as at the start of a connection.
    pub(crate) async fn send_untyped(&mut self, body: &[u8]) {
        let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
        bytes.extend_from_slice(body);
        self.socket.write_all(&bytes).await.unwrap();
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, kind: char, body: &[u8]) {
        self.socket.write_all(&message(kind, body)).await.unwrap();
    }

    /// Runs a simple query; answers all messages up to the next `ReadyForQuery`.
    pub(crate) async fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send('Q', format!("{sql}\0").as_bytes()).await;
        self.until_ready().await
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) async fn receive(&mut self) -> Option<Message> {
        let read = async {
            let kind = self.socket.read_u8().await.ok()?;
            let length = self.socket.read_u32().await.ok()? as usize - 4;
            let mut body = vec![0; length];
            self.socket.read_exact(&mut body).await.ok()?;
            Some(Message { kind: kind as char, body })
        };
        tokio::time::timeout(Duration::from_secs(60), read).await.expect("the server says nothing")
    }

    /// All messages up to and with `ReadyForQuery`, or to the end of the connection.
    pub(crate) async fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.receive().await {
            let last = message.kind == 'Z';
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }
}

/// The bytes of a message.
pub(crate) fn message(kind: char, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind as u8];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// `Parse`, `Bind` and `Execute` of a statement without parameters, for `max_rows` rows, as text.
pub(crate) fn extended(sql: &str, max_rows: u32) -> Vec<u8> {
    let mut bytes = message('P', format!("\0{sql}\0\0\0").as_bytes());
    bytes.extend(message('B', &[0; 8]));
    bytes.extend(message('E', &[&[0][..], &max_rows.to_be_bytes()].concat()));
    bytes
}

/// Types of messages, in order.
pub(crate) fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| message.kind).collect()
}

/// Command tags among messages.
pub(crate) fn tags(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.kind == 'C').map(Message::text).collect()
}

/// SQLSTATEs of the errors among messages.
pub(crate) fn states(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.kind == 'E').filter_map(|message| message.field('C')).collect()
}

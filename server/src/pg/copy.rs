//! `COPY … FROM STDIN` and `COPY … TO STDOUT`.

use latentdb_engine::{CopyIn, CopyOut};
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::connection::Connection;
use super::encode::CopyEncoder;
use super::errors::{Failure, code};
use super::portal::RowSource;
use super::tags;
use super::wire::FLUSH_AT;

/// Format code of text, which CSV is too.
const TEXT: i8 = 0;
/// Format code of the binary format.
const BINARY: i8 = 1;

impl Connection {
    /// Takes the client's rows. They become visible together at its end, or not at all.
    pub(super) async fn copy_in(&mut self, mut copy: CopyIn) -> Result<(), Failure> {
        let columns = copy.columns();
        let response = CopyInResponse::new(TEXT, columns as i16, vec![i16::from(TEXT); columns]);
        self.wire.put(PgWireBackendMessage::CopyInResponse(response))?;
        self.wire.flush().await?;
        loop {
            match self.receive().await? {
                Some(PgWireFrontendMessage::CopyData(piece)) => self.watch().over(copy.write(piece.data)).await?,
                Some(PgWireFrontendMessage::CopyDone(_)) => {
                    let rows = self.watch().over(Box::pin(copy.finish())).await?;
                    return self.complete(tags::counted("COPY", rows), None);
                }
                Some(PgWireFrontendMessage::CopyFail(failure)) => {
                    return Err(Failure::statement(
                        code::QUERY_CANCELED,
                        format!("COPY from stdin failed: {}", failure.message),
                    ));
                }
                // Clients may send these ahead, before they know that a COPY begins.
                Some(PgWireFrontendMessage::Flush(_) | PgWireFrontendMessage::Sync(_)) => {}
                Some(PgWireFrontendMessage::Terminate(_)) | None => return Err(Failure::Disconnected),
                Some(_) => {
                    return Err(Failure::protocol("unexpected message during COPY from stdin"));
                }
            }
        }
    }

    /// Sends the rows as lines.
    pub(super) async fn copy_out(&mut self, copy: CopyOut) -> Result<(), Failure> {
        let mut source = RowSource::new("COPY", copy.rows, None);
        let columns = source.announced.fields().len();
        let mut encoder = CopyEncoder::new(copy.options, self.style());
        let format = if encoder.is_binary() { BINARY } else { TEXT };
        let response = CopyOutResponse::new(format, columns as i16, vec![i16::from(format); columns]);
        self.wire.put(PgWireBackendMessage::CopyOutResponse(response))?;
        encoder.header(&source.announced, &mut self.wire.output);
        let mut sent = 0;
        while self.fill(&mut source).await? {
            let Some(rows) = source.current.as_mut() else { break };
            sent += encoder.encode(rows, FLUSH_AT, &mut self.wire.output) as u64;
            if self.wire.output.len() >= FLUSH_AT {
                self.flush_rows().await?;
            }
        }
        encoder.trailer(&mut self.wire.output);
        metrics::counter!("latentdb_rows_sent_total", "protocol" => "pg").increment(sent);
        self.wire.put(PgWireBackendMessage::CopyDone(CopyDone::new()))?;
        self.complete(tags::counted("COPY", sent), None)
    }
}

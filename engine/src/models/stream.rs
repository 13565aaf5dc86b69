//! Hands rows on, in order, as their answers arrive.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::future::{BoxFuture, try_join_all};
use futures::stream::{FuturesOrdered, Stream, StreamExt, unfold};

use super::batcher::{Batcher, Chunk, Part};
use super::memory::Place;

/// The rows of `batcher` with their answers. At most `in_flight` chunks are asked about at a time; only the first
/// is, until the reader comes back for more. Dropping the stream drops the requests.
pub(super) fn answered(
    batcher: Batcher,
    schema: SchemaRef,
    in_flight: usize,
    memory: MemoryReservation,
) -> impl Stream<Item = Result<RecordBatch>> {
    let answers = Answers {
        batcher,
        schema,
        limit: in_flight.max(1),
        asked: FuturesOrdered::new(),
        ready: VecDeque::new(),
        has_read: false,
        memory,
    };
    unfold(Some(answers), |answers| async move {
        let mut answers = answers?;
        match answers.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(answers))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Answers {
    batcher: Batcher,
    schema: SchemaRef,
    limit: usize,
    asked: FuturesOrdered<BoxFuture<'static, Result<Vec<Part>>>>,
    ready: VecDeque<Part>,
    /// Whether the reader has come back after the first rows.
    has_read: bool,
    memory: MemoryReservation,
}

impl Answers {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                self.has_read = true;
                return self.finished(part).map(Some);
            }
            let limit = if self.has_read { self.limit } else { 1 };
            let is_waiting = !self.asked.is_empty();
            if self.asked.len() >= limit || self.batcher.is_done() {
                match self.asked.next().await.transpose()? {
                    Some(parts) => self.ready.extend(parts),
                    None => return Ok(None),
                }
                continue;
            }
            tokio::select! {
                biased;
                Some(parts) = self.asked.next(), if is_waiting => self.ready.extend(parts?),
                chunk = self.batcher.next(is_waiting) => if let Some(chunk) = chunk? {
                    self.reserve()?;
                    self.asked.push_back(Box::pin(ask(chunk)));
                },
            }
        }
    }

    fn finished(&mut self, part: Part) -> Result<RecordBatch> {
        let schema = Arc::clone(&self.schema);
        let own = part.rows.num_columns();
        let mut columns = part.rows.columns().to_vec();
        for (answers, field) in part.answers.iter().zip(schema.fields().iter().skip(own)) {
            columns.push(column(answers, field.data_type())?);
        }
        self.reserve()?;
        self.batcher.metrics().output_rows.add(part.rows.num_rows());
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// Accounts for what is held. When memory is short, what was asked before is forgotten first.
    fn reserve(&mut self) -> Result<()> {
        if self.memory.try_resize(self.batcher.bytes()).is_err() {
            self.batcher.forget();
            self.memory.try_resize(self.batcher.bytes())?;
        }
        Ok(())
    }
}

async fn ask(chunk: Chunk) -> Result<Vec<Part>> {
    try_join_all(chunk.requests.into_iter().map(super::batcher::Request::run)).await?;
    Ok(chunk.parts)
}

/// The answers at `places`, null where there is none.
fn column(places: &[Option<Place>], data_type: &DataType) -> Result<ArrayRef> {
    let mut sources: Vec<ArrayRef> = vec![new_null_array(data_type, 1)];
    let mut indices = Vec::with_capacity(places.len());
    let mut last: Option<(&Place, usize)> = None;
    for place in places {
        let Some(place) = place else {
            indices.push((0, 0));
            continue;
        };
        let source = match last.filter(|(other, _)| Arc::ptr_eq(&other.cell, &place.cell)) {
            Some((_, source)) => source,
            None => {
                let answers = place.cell.get().ok_or_else(|| super::lost("its answers"))?;
                let source = sources.iter().position(|source| Arc::ptr_eq(source, answers)).unwrap_or(sources.len());
                if source == sources.len() {
                    sources.push(Arc::clone(answers));
                }
                source
            }
        };
        last = Some((place, source));
        indices.push((source, place.row));
    }
    let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&sources, &indices)?)
}

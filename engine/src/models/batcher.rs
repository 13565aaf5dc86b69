//! Cuts rows into requests.
//!
//! The first chunk of rows asks about [`FIRST`] of them at most, each later one about twice as many as the one
//! before it, up to the service's budget of tokens: a reader who stops early has asked about little. Rows that were
//! asked about before, that a guard leaves out, or that lack an argument come along for nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, take, take_record_batch};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};

use super::exec::{CallMetrics, PhysicalCall};
use super::lost;
use super::memory::{Cell, Memory, Place};
use super::service::{ModelLimits, ModelRequest, ModelService};
use crate::{Error, ErrorKind};

/// Rows that the first request asks about.
const FIRST: usize = 8;
/// Rows that any request asks about.
const MOST: usize = 4096;

/// Rows with the places of their answers, and the requests that fill those.
pub(super) struct Chunk {
    pub parts: Vec<Part>,
    pub requests: Vec<Request>,
}

/// Consecutive rows of the input, and for each call the places of their answers.
pub(super) struct Part {
    pub rows: RecordBatch,
    pub answers: Vec<Vec<Option<Place>>>,
}

/// A request, and where its answer goes.
pub(super) struct Request {
    pub call: PhysicalCall,
    pub service: Arc<dyn ModelService>,
    pub request: ModelRequest,
    pub cell: Cell,
}

impl Request {
    /// Asks, and puts the answer in its place.
    pub(super) async fn run(self) -> Result<()> {
        let rows = self.request.rows();
        let answers = self.service.answer(self.request).await.map_err(|error| self.call.failed(error))?;
        if answers.len() != rows || *answers.data_type() != self.call.result {
            let message = format!("{} {} answers to {rows} calls", answers.len(), answers.data_type());
            let error = Error::new(ErrorKind::Internal, message);
            return Err(self.call.failed(error).into());
        }
        // Nobody else fills this cell.
        let _ = self.cell.set(answers);
        Ok(())
    }
}

/// A call, who answers it, and what it was asked.
struct Asked {
    call: PhysicalCall,
    service: Arc<dyn ModelService>,
    questions: RowConverter,
    memory: Memory,
    /// Of the chunk that is being cut.
    fresh: Fresh,
}

/// What a chunk asks that was not asked before.
#[derive(Default)]
struct Fresh {
    cell: Cell,
    rows: usize,
    cost: usize,
    /// Arguments, from one batch each.
    arguments: Vec<Vec<ArrayRef>>,
    questions: Vec<OwnedRow>,
}

/// A batch of input that is being cut.
struct Waiting {
    rows: RecordBatch,
    offset: usize,
    calls: Vec<Questions>,
}

/// What one call asks about a batch.
struct Questions {
    /// For each row of the batch, the row of the arguments.
    index: Vec<Option<usize>>,
    arguments: Vec<ArrayRef>,
    keys: Option<Rows>,
    costs: Vec<usize>,
}

/// Cuts the rows of its input into chunks.
pub(super) struct Batcher {
    input: Option<SendableRecordBatchStream>,
    calls: Vec<Asked>,
    user: Arc<str>,
    limits: ModelLimits,
    /// Rows to come before nobody reads on.
    remaining: Option<usize>,
    /// Rows that the next chunk asks about.
    target: usize,
    waiting: VecDeque<Waiting>,
    parts: Vec<Part>,
    metrics: CallMetrics,
}

impl Batcher {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        calls: Vec<PhysicalCall>,
        services: Vec<Arc<dyn ModelService>>,
        user: Arc<str>,
        limits: ModelLimits,
        fetch: Option<usize>,
        metrics: CallMetrics,
    ) -> Result<Self> {
        let asked = |(call, service): (PhysicalCall, Arc<dyn ModelService>)| {
            let fields = call.types.iter().cloned().map(SortField::new).collect();
            let questions = RowConverter::new(fields)?;
            Ok(Asked { call, service, questions, memory: Memory::default(), fresh: Fresh::default() })
        };
        Ok(Self {
            input: Some(input),
            calls: calls.into_iter().zip(services).map(asked).collect::<Result<Vec<_>>>()?,
            user,
            limits,
            remaining: fetch,
            target: FIRST,
            waiting: VecDeque::new(),
            parts: Vec::new(),
            metrics,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.input.is_none() && self.waiting.is_empty() && self.parts.is_empty()
    }

    pub(super) fn metrics(&self) -> &CallMetrics {
        &self.metrics
    }

    /// Bytes of what is remembered and of the rows that wait.
    pub(super) fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|waiting| waiting.rows.get_array_memory_size()).sum();
        self.calls.iter().map(|asked| asked.memory.bytes()).sum::<usize>() + waiting
    }

    /// Forgets what was asked, to make room.
    pub(super) fn forget(&mut self) {
        self.calls.iter_mut().for_each(|asked| asked.memory.clear());
    }

    /// The next chunk; `None` at the end. A chunk that is not full waits for more rows only if `patient`.
    /// Dropping the wait loses nothing.
    pub(super) async fn next(&mut self, patient: bool) -> Result<Option<Chunk>> {
        loop {
            if self.cut()? {
                return self.close().map(Some);
            }
            let Some(input) = &mut self.input else {
                return if self.parts.is_empty() { Ok(None) } else { self.close().map(Some) };
            };
            let next = match input.next().now_or_never() {
                Some(next) => next,
                None if patient || self.parts.is_empty() => input.next().await,
                None => return self.close().map(Some),
            };
            match next.transpose()? {
                Some(batch) => self.receive(batch)?,
                None => self.input = None,
            }
        }
    }

    fn receive(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = match &mut self.remaining {
            Some(remaining) => {
                let rows = batch.num_rows().min(*remaining);
                *remaining -= rows;
                if *remaining == 0 {
                    self.input = None;
                }
                batch.slice(0, rows)
            }
            None => batch,
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let user = &self.user;
        let calls = self.calls.iter_mut().map(|asked| asked.read(&batch, user)).collect::<Result<Vec<_>>>()?;
        self.waiting.push_back(Waiting { rows: batch, offset: 0, calls });
        Ok(())
    }

    /// Adds rows that are there to the chunk; answers whether it is full.
    fn cut(&mut self) -> Result<bool> {
        while let Some(mut waiting) = self.waiting.pop_front() {
            let (part, is_full) = self.cut_from(&waiting)?;
            waiting.offset += part.rows.num_rows();
            if part.rows.num_rows() > 0 {
                self.parts.push(part);
            }
            if waiting.offset < waiting.rows.num_rows() {
                self.waiting.push_front(waiting);
            }
            if is_full {
                return Ok(true);
            }
        }
        Ok(self.parts.iter().map(|part| part.rows.num_rows()).sum::<usize>() >= MOST)
    }

    fn cut_from(&mut self, waiting: &Waiting) -> Result<(Part, bool)> {
        let mut answers: Vec<Vec<Option<Place>>> = vec![Vec::new(); self.calls.len()];
        let mut sent: Vec<Vec<u32>> = vec![Vec::new(); self.calls.len()];
        let mut row = waiting.offset;
        let mut is_full = false;
        while row < waiting.rows.num_rows() {
            let (target, budget) = (self.target, self.limits.request_tokens);
            let has_room = |(asked, questions): (&Asked, &Questions)| asked.has_room(questions, row, target, budget);
            if !self.calls.iter().zip(&waiting.calls).all(has_room) {
                is_full = true;
                break;
            }
            for (((asked, questions), answers), sent) in
                self.calls.iter_mut().zip(&waiting.calls).zip(&mut answers).zip(&mut sent)
            {
                answers.push(asked.ask(questions, row, sent, &self.metrics));
            }
            row += 1;
        }
        for ((asked, questions), sent) in self.calls.iter_mut().zip(&waiting.calls).zip(sent) {
            if !sent.is_empty() {
                asked.fresh.arguments.push(rows_of(&questions.arguments, &UInt32Array::from(sent))?);
            }
        }
        let rows = waiting.rows.slice(waiting.offset, row - waiting.offset);
        Ok((Part { rows, answers }, is_full))
    }

    /// Ends the chunk that is being cut; the next one may be larger.
    fn close(&mut self) -> Result<Chunk> {
        self.target = self.target.saturating_mul(2).min(MOST);
        let mut requests = Vec::new();
        for asked in &mut self.calls {
            requests.extend(asked.close(&self.user, &self.metrics)?);
        }
        Ok(Chunk { parts: std::mem::take(&mut self.parts), requests })
    }
}

impl Asked {
    /// The call's questions about `batch`. Arguments are worked out only for rows that the guard lets through.
    fn read(&mut self, batch: &RecordBatch, user: &Arc<str>) -> Result<Questions> {
        let rows = self.guarded(batch)?;
        let guarded = match rows.len() == batch.num_rows() {
            true => batch.clone(),
            false => take_record_batch(batch, &UInt32Array::from(rows.clone()))?,
        };
        let arguments = self
            .call
            .arguments
            .iter()
            .map(|argument| argument.evaluate(&guarded)?.into_array(guarded.num_rows()))
            .collect::<Result<Vec<_>>>()?;
        let mut index = vec![None; batch.num_rows()];
        for (position, row) in rows.into_iter().enumerate() {
            let is_complete = arguments
                .iter()
                .zip(&self.call.required)
                .all(|(argument, required)| !required || argument.is_valid(position));
            if is_complete && let Some(slot) = index.get_mut(row as usize) {
                *slot = Some(position);
            }
        }
        let keys = match self.call.is_repeatable {
            true => Some(self.questions.convert_columns(&arguments)?),
            false => None,
        };
        let function = Arc::clone(&self.call.function);
        let request = ModelRequest { function, arguments, user: Arc::clone(user) };
        let costs = self.service.costs(&request);
        Ok(Questions { index, arguments: request.arguments, keys, costs })
    }

    /// Rows of `batch` for which the guard is true.
    fn guarded(&self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let all = 0..batch.num_rows() as u32;
        let Some(guard) = &self.call.guard else { return Ok(all.collect()) };
        let guard = guard.evaluate(batch)?.into_array(batch.num_rows())?;
        let guard = guard.as_boolean_opt().ok_or_else(|| lost("its guard"))?;
        Ok(all.zip(guard).filter(|(_, is_asked)| *is_asked == Some(true)).map(|(row, _)| row).collect())
    }

    /// Whether `row` can be added to the chunk.
    fn has_room(&self, questions: &Questions, row: usize, target: usize, budget: usize) -> bool {
        let Some(position) = questions.position(row) else { return true };
        if self.fresh.rows == 0 {
            return true;
        }
        let is_known = questions.key(position).is_some_and(|key| self.memory.find(&key).is_some());
        is_known || self.fresh.rows < target && self.fresh.cost + questions.cost(position) <= budget
    }

    /// The place of the answer for `row`; a question that is new is added to `sent`.
    fn ask(&mut self, questions: &Questions, row: usize, sent: &mut Vec<u32>, metrics: &CallMetrics) -> Option<Place> {
        let Some(position) = questions.position(row) else {
            metrics.rows_skipped.add(1);
            return None;
        };
        let key = questions.key(position);
        if let Some(place) = key.as_ref().and_then(|key| self.memory.find(key)) {
            metrics.rows_deduplicated.add(1);
            return Some(place.clone());
        }
        let place = Place { cell: Arc::clone(&self.fresh.cell), row: self.fresh.rows };
        self.fresh.rows += 1;
        self.fresh.cost += questions.cost(position);
        sent.push(position as u32);
        if let Some(key) = key {
            self.memory.insert(key.clone(), place.clone());
            self.fresh.questions.push(key);
        }
        Some(place)
    }

    fn close(&mut self, user: &Arc<str>, metrics: &CallMetrics) -> Result<Option<Request>> {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.rows == 0 {
            return Ok(None);
        }
        metrics.requests.add(1);
        metrics.rows_sent.add(fresh.rows);
        let arguments = (0..self.call.arguments.len())
            .map(|argument| {
                let pieces: Vec<&dyn Array> =
                    fresh.arguments.iter().filter_map(|pieces| pieces.get(argument)).map(AsRef::as_ref).collect();
                Ok(concat(&pieces)?)
            })
            .collect::<Result<Vec<_>>>()?;
        self.memory.sent(Arc::clone(&fresh.cell), fresh.questions);
        self.memory.trim();
        let request = ModelRequest { function: Arc::clone(&self.call.function), arguments, user: Arc::clone(user) };
        Ok(Some(Request { call: self.call.clone(), service: Arc::clone(&self.service), request, cell: fresh.cell }))
    }
}

impl Questions {
    fn position(&self, row: usize) -> Option<usize> {
        self.index.get(row).copied().flatten()
    }

    fn key(&self, position: usize) -> Option<OwnedRow> {
        self.keys.as_ref().map(|keys| keys.row(position).owned())
    }

    fn cost(&self, position: usize) -> usize {
        self.costs.get(position).copied().unwrap_or(1)
    }
}

fn rows_of(columns: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    Ok(columns.iter().map(|column| take(column, rows, None)).collect::<std::result::Result<Vec<_>, _>>()?)
}

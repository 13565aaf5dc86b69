//! A text that is growing.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::handle::{Event, Finish, FinishReason, Read, Token};
use super::options::GenerationOptions;
use super::request::Request;
use super::sampler::{Choice, Sampler};
use super::stops::{Piece, Stops};
use super::text::Decoder;
use crate::lens::Readout;
use crate::model::{Model, SequenceCache};
use crate::steer::{Patterns, Plan, Steered};
use crate::tokens::Tokenizer;
use crate::{Error, ErrorKind, Point, Result};

/// A text from its admission to its end.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Tokens that the model has not seen yet: of the prompt, and then the last one that was chosen.
    unread: Vec<u32>,
    plan: Plan,
    pub(super) cache: SequenceCache,
    /// Bytes that its cache may come to take.
    pub(super) reserved: usize,
    sampler: Sampler,
    decoder: Decoder,
    stops: Stops,
    stop_tokens: Vec<u32>,
    logprobs: Option<usize>,
    readout: Option<Readout>,
    patterns: Option<Arc<Patterns>>,
    /// How it ends, once its last tokens have been read.
    last: Option<Finish>,
    /// Tokens that may still be generated.
    room: usize,
    /// Whether its prompt has been read.
    pub(super) has_read: bool,
    is_over: bool,
    events: UnboundedSender<Result<Event>>,
}

/// A request that was checked, and waits for room.
#[derive(Debug)]
pub(crate) struct Ticket {
    request: Request,
    plan: Plan,
    decoder: Decoder,
    room: usize,
    pub(super) reserved: usize,
    events: UnboundedSender<Result<Event>>,
    _place: OwnedSemaphorePermit,
}

impl Ticket {
    /// Checks a request.
    ///
    /// # Errors
    /// `InvalidInput` for what [`Worker::generate`](crate::service::Worker::generate) refuses.
    pub(crate) fn new(
        model: &Model,
        request: Request,
        options: &GenerationOptions,
        events: UnboundedSender<Result<Event>>,
        place: OwnedSemaphorePermit,
    ) -> Result<Self> {
        let room = check(model, &request, options)?;
        let plan = Plan::new(model, &request.prompt, &request.interventions, &options.steering)?;
        let reserved = bytes(model, request.prompt.len() + room);
        if reserved > options.cache_bytes {
            let message =
                format!("the text's keys and values may take {reserved} bytes, of {} there are", options.cache_bytes);
            return Err(
                Error::new(ErrorKind::InvalidInput, message).with_hint("ask for fewer tokens, or raise the limit")
            );
        }
        let decoder = Decoder::new(model.tokenizer(), &request.prompt)?;
        Ok(Self { request, plan, decoder, room, reserved, events, _place: place })
    }

    pub(super) fn is_awaited(&self) -> bool {
        !self.events.is_closed()
    }
}

fn bytes(model: &Model, tokens: usize) -> usize {
    let dtype = if model.device().is_cpu() { DType::F32 } else { model.dtype() };
    SequenceCache::most_bytes(model.config(), dtype, tokens)
}

/// Tokens that there is room for.
fn check(model: &Model, request: &Request, options: &GenerationOptions) -> Result<usize> {
    let bad = |message: String, hint: &str| Err(Error::new(ErrorKind::InvalidInput, message).with_hint(hint));
    let (tokens, longest) = (request.prompt.len(), model.config().n_ctx);
    let sampling = &request.sampling;
    if tokens == 0 {
        return bad("the prompt has no tokens".to_owned(), "give it some text, or let a BOS token be put in front");
    }
    model.check_tokens(&request.prompt)?;
    if tokens > longest || (tokens == longest && request.max_tokens > 0) {
        let message =
            format!("the prompt has {tokens} tokens, which leaves no room in the model's context of {longest}");
        return bad(message, "cut the prompt");
    }
    if request.max_tokens > options.max_tokens {
        let message =
            format!("{} tokens are more than the {} that may be asked for", request.max_tokens, options.max_tokens);
        return bad(message, "ask for fewer tokens, or raise the limit");
    }
    if !sampling.temperature.is_finite() || sampling.temperature > 100.0 {
        return bad(format!("the temperature is {}", sampling.temperature), "0 is greedy, and 100 the most");
    }
    if sampling.top_p.is_nan() || sampling.top_p <= 0.0 {
        return bad(format!("top_p is {}", sampling.top_p), "it is a probability above 0; 1 keeps all tokens");
    }
    if !(-2.0..=2.0).contains(&sampling.frequency_penalty) {
        return bad(format!("the frequency penalty is {}", sampling.frequency_penalty), "it is from -2 to 2");
    }
    if request.stop.strings.iter().any(String::is_empty) {
        return bad("a stop string is empty".to_owned(), "leave it out");
    }
    Ok(request.max_tokens.min(longest - tokens))
}

impl Sequence {
    /// Starts a text.
    pub(super) fn start(model: &Model, ticket: Ticket) -> Self {
        let Ticket { request, plan, decoder, room, reserved, events, .. } = ticket;
        let stop_tokens = request.stop.tokens.unwrap_or_else(|| model.ends().to_vec());
        let mut sequence = Self {
            cache: SequenceCache::new(model.config(), request.prompt.len() + room),
            decoder,
            sampler: Sampler::new(request.sampling),
            stops: Stops::new(request.stop.strings),
            unread: request.prompt,
            plan,
            reserved,
            stop_tokens,
            logprobs: request.logprobs,
            readout: request.readout,
            patterns: request.patterns,
            last: None,
            room,
            has_read: false,
            is_over: false,
            events,
        };
        if room == 0 {
            sequence.end(FinishReason::Length, String::new());
        }
        sequence
    }

    /// Whether it goes on: it is not at its end, and somebody listens.
    pub(super) fn is_live(&self) -> bool {
        !self.is_over && !self.events.is_closed()
    }

    /// The next tokens for the model, at most `most`.
    pub(super) fn next_tokens(&self, most: usize) -> &[u32] {
        self.unread.get(..most.min(self.unread.len())).unwrap_or_default()
    }

    /// Counts tokens that the model has seen. Whether the model's next logits are a choice.
    pub(super) fn saw(&mut self, tokens: usize) -> bool {
        self.unread.drain(..tokens.min(self.unread.len()));
        self.has_read = self.unread.is_empty();
        self.has_read
    }

    /// The attention weights that its prompt is read with.
    pub(super) fn patterns(&self) -> Option<&Patterns> {
        self.patterns.as_deref()
    }

    /// The points that it wants to see.
    pub(super) fn watched(&self) -> impl Iterator<Item = Point> {
        self.readout.iter().flat_map(Readout::points)
    }

    /// Tells what the model has read: the next `tokens`, of which the first has position `start`. `stream` gives their values.
    pub(super) fn read(
        &self,
        model: &Model,
        start: usize,
        tokens: usize,
        stream: impl Fn(Point) -> Result<Tensor>,
    ) -> Result<()> {
        let Some(readout) = &self.readout else { return Ok(()) };
        let skipped = readout.from.saturating_sub(start).min(tokens);
        if skipped == tokens {
            return Ok(());
        }
        let all = readout.read(model, |point| Ok(stream(point)?.narrow(0, skipped, tokens - skipped)?))?;
        let positions = (start + skipped)..(start + tokens);
        for ((position, token), said) in positions.zip(self.unread.iter().skip(skipped)).zip(all) {
            self.send(Event::Read(Read { position, token: *token, said }));
        }
        Ok(())
    }

    /// What is changed in its rows, of which the first has position `start`.
    pub(super) fn steered(&self, start: usize) -> Steered<'_> {
        Steered { plan: &self.plan, start }
    }

    /// Chooses the next token by its logits `[V]`, unless the text ends here.
    pub(super) fn choose(&mut self, tokenizer: &Tokenizer, logits: &mut [f32]) {
        if self.is_over {
            return;
        }
        if let Some(finish) = self.last.take() {
            return self.finish(finish);
        }
        if !logits.iter().any(|logit| logit.is_finite()) {
            return self.fail(
                Error::new(ErrorKind::InvalidInput, "the model's logits are not numbers any more")
                    .with_hint("what is added to its values is too much for it: lower the strengths"),
            );
        }
        let choice = self.sampler.choose(logits, self.logprobs);
        if let Err(error) = self.accept(tokenizer, choice) {
            self.fail(error);
        }
    }

    fn accept(&mut self, tokenizer: &Tokenizer, choice: Choice) -> Result<()> {
        let Choice { token, logprob, top } = choice;
        if self.stop_tokens.contains(&token) {
            if self.readout.is_some() {
                self.unread.push(token);
            }
            return self.flush(tokenizer, FinishReason::Stop(token));
        }
        let piece = self.decoder.push(tokenizer, token)?;
        let (text, stopped) = match self.stops.push(&piece) {
            Piece::Text(text) => (text, None),
            Piece::Stopped(text, stop) => (text, Some(stop)),
        };
        self.send(Event::Token(Token { id: token, text, logprob, top }));
        self.room = self.room.saturating_sub(1);
        self.unread.push(token);
        match stopped {
            Some(stop) => self.end(FinishReason::StopString(stop), String::new()),
            None if self.room == 0 => self.flush(tokenizer, FinishReason::Length)?,
            None => {}
        }
        Ok(())
    }

    /// Ends the text with what was held back.
    fn flush(&mut self, tokenizer: &Tokenizer, reason: FinishReason) -> Result<()> {
        let open = self.decoder.finish(tokenizer)?;
        match self.stops.push(&open) {
            Piece::Text(text) => {
                let held = self.stops.finish();
                self.end(reason, text + &held);
            }
            Piece::Stopped(text, stop) => self.end(FinishReason::StopString(stop), text),
        }
        Ok(())
    }

    /// Ends the text: at once, or once what the model has not seen is read out.
    fn end(&mut self, reason: FinishReason, text: String) {
        let finish = Finish { reason, text };
        if self.readout.is_some() && !self.unread.is_empty() {
            self.last = Some(finish);
        } else {
            self.finish(finish);
        }
    }

    fn finish(&mut self, finish: Finish) {
        self.is_over = true;
        self.send(Event::Finish(finish));
    }

    /// Ends the text with an error.
    pub(super) fn fail(&mut self, error: Error) {
        self.is_over = true;
        let _ = self.events.send(Err(error));
    }

    /// Nobody may listen any more; the engine looks before the next step.
    fn send(&self, event: Event) {
        let _ = self.events.send(Ok(event));
    }
}

//! Texts as OpenAI answers them, at once or piece by piece.

use std::convert::Infallible;

use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use futures::future::try_join_all;
use futures::stream::{self, Stream, StreamExt};
use latentdb_engine::Result;
use latentdb_udfs::generation::{Event, FinishReason, Part, Prompt, Started, Thoughts};
use serde_json::{Map, Value, json};

use super::super::logprobs::of_chat;
use super::error::OpenAiError;
use super::request::Wanted;

/// Which of the two APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
}

impl Kind {
    fn id(self) -> String {
        let prefix = if self == Self::Chat { "chatcmpl" } else { "cmpl" };
        format!("{prefix}-{:032x}", rand::random::<u128>())
    }
}

/// What all parts of an answer begin with.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
}

impl Head {
    fn new(kind: Kind, streams: bool, model: &str) -> Self {
        let object = match (kind, streams) {
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Chat, false) => "chat.completion",
            (Kind::Text, _) => "text_completion",
        };
        Self { id: kind.id(), object, created: chrono::Utc::now().timestamp(), model: model.to_owned() }
    }

    fn with(&self, choices: Vec<Value>) -> Value {
        let Self { id, object, created, model } = self;
        json!({ "id": id, "object": object, "created": created, "model": model, "choices": choices })
    }
}

/// Tokens read and made.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    prompt: usize,
    made: usize,
}

impl Usage {
    /// Of a request, before anything is made. A prompt counts once, however many choices it has.
    fn of(begun: &[Started], choices: usize) -> Self {
        Self { prompt: begun.iter().step_by(choices.max(1)).map(|one| one.prompt_tokens).sum(), made: 0 }
    }

    fn json(self) -> Value {
        let Self { prompt, made } = self;
        json!({ "prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made })
    }
}

fn reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::Stop(_) | FinishReason::StopString(_) => "stop",
    }
}

/// The log-probabilities of some tokens, collected as they come.
#[derive(Debug, Default)]
struct Logprobs {
    of_chat: Vec<Value>,
}

impl Logprobs {
    fn json(self, kind: Kind, is_wanted: bool, offset: usize) -> Value {
        if !is_wanted {
            return Value::Null;
        }
        match kind {
            Kind::Chat => json!({ "content": self.of_chat }),
            Kind::Text => self.of_text(offset),
        }
    }

    /// The older form: parallel lists.
    fn of_text(self, mut offset: usize) -> Value {
        let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
        let (mut top, mut offsets) = (Vec::new(), Vec::new());
        for token in self.of_chat {
            let text = token.get("token").cloned().unwrap_or_default();
            offsets.push(offset);
            offset += text.as_str().map_or(0, |text| text.chars().count());
            let others = token.get("top_logprobs").and_then(Value::as_array).cloned().unwrap_or_default();
            let pair = |other: &Value| Some((other.get("token")?.as_str()?.to_owned(), other.get("logprob")?.clone()));
            top.push(Value::Object(others.iter().filter_map(pair).collect::<Map<String, Value>>()));
            logprobs.push(token.get("logprob").cloned().unwrap_or_default());
            tokens.push(text);
        }
        json!({ "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": top, "text_offset": offsets })
    }
}

/// The answer, once all texts are whole.
pub(super) async fn answer(kind: Kind, wanted: &Wanted, begun: Vec<Started>) -> Result<Value> {
    let mut usage = Usage::of(&begun, wanted.choices);
    let texts = begun.into_iter().zip(&wanted.requests).enumerate().map(|(index, (started, request))| {
        let before = echoed(wanted, &request.prompt).to_owned();
        choice(kind, index, before, request.logprobs.is_some(), started)
    });
    let made = try_join_all(texts).await?;
    usage.made = made.iter().map(|(_, made)| made).sum();
    let mut answer = Head::new(kind, false, &wanted.model).with(made.into_iter().map(|(choice, _)| choice).collect());
    if let Some(members) = answer.as_object_mut() {
        members.insert("usage".to_owned(), usage.json());
    }
    Ok(answer)
}

/// A whole choice, with the tokens that it took. Its text begins with `before`.
async fn choice(kind: Kind, index: usize, before: String, logs: bool, mut started: Started) -> Result<(Value, usize)> {
    let offset = before.chars().count();
    let (mut text, mut logprobs, mut ended) = (before, Logprobs::default(), None);
    let (mut thoughts, mut thinking) = (started.thoughts(), String::new());
    let mut add = |part: Part| {
        text.push_str(&part.answer);
        thinking.push_str(&part.thinking);
    };
    while let Some(event) = started.next().await? {
        match event {
            Event::Token(token) => {
                add(thoughts.push(&token.text));
                logprobs.of_chat.push(of_chat(&started, &token));
            }
            Event::Read(_) => {}
            Event::Finish(finish) => {
                add(last(&mut thoughts, &finish.text));
                ended = Some(reason(&finish.reason));
            }
        }
    }
    let thinking = thoughts.has_thought().then_some(thinking);
    let made = logprobs.of_chat.len();
    let logprobs = logprobs.json(kind, logs, offset);
    let choice = match kind {
        Kind::Chat => json!({
            "index": index,
            "message": { "role": "assistant", "content": text, "reasoning_content": thinking, "refusal": null },
            "logprobs": logprobs,
            "finish_reason": ended,
        }),
        Kind::Text => json!({ "index": index, "text": text, "logprobs": logprobs, "finish_reason": ended }),
    };
    Ok((choice, made))
}

fn echoed<'a>(wanted: &Wanted, prompt: &'a Prompt) -> &'a str {
    match prompt {
        Prompt::Text { text, .. } if wanted.echo => text,
        _ => "",
    }
}

/// A piece of a choice.
fn piece(kind: Kind, index: usize, part: &Part, is_first: bool, logprobs: Value, reason: Option<&str>) -> Value {
    let Part { thinking, answer: text } = part;
    match kind {
        Kind::Chat => {
            let mut delta = Map::new();
            if is_first {
                delta.insert("role".to_owned(), "assistant".into());
            }
            if is_first || !text.is_empty() {
                delta.insert("content".to_owned(), text.as_str().into());
            }
            if !thinking.is_empty() {
                delta.insert("reasoning_content".to_owned(), thinking.as_str().into());
            }
            json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason })
        }
        Kind::Text => json!({ "index": index, "text": text, "logprobs": logprobs, "finish_reason": reason }),
    }
}

/// The answer, as it grows: `data:` frames, `[DONE]` at the end. Dropping the stream ends the texts.
pub(super) fn stream(
    kind: Kind,
    wanted: Wanted,
    begun: Vec<Started>,
) -> Sse<impl Stream<Item = std::result::Result<Frame, Infallible>>> {
    let head = Head::new(kind, true, &wanted.model);
    let usage = Usage::of(&begun, wanted.choices);
    let pieces = begun.into_iter().zip(&wanted.requests).enumerate().map(|(index, (started, request))| {
        let first = Part { answer: echoed(&wanted, &request.prompt).to_owned(), thinking: String::new() };
        let opening = piece(kind, index, &first, true, Value::Null, None);
        let logs = request.logprobs.is_some();
        stream::once(async move { Ok((opening, 0)) }).chain(texts(kind, index, logs, started)).boxed()
    });
    let pieces = stream::select_all(pieces.collect::<Vec<_>>());
    let include_usage = wanted.include_usage;
    let frames = pieces.map(Some).chain(stream::once(async { None })).scan(usage, move |usage, next| {
        let frames = match next {
            Some(Ok((choice, made))) => {
                usage.made += made;
                vec![head.with(vec![choice]).to_string()]
            }
            Some(Err(error)) => vec![OpenAiError::body(&error).to_string()],
            None => {
                let mut last = Vec::new();
                if include_usage {
                    let mut chunk = head.with(Vec::new());
                    if let Some(members) = chunk.as_object_mut() {
                        members.insert("usage".to_owned(), usage.json());
                    }
                    last.push(chunk.to_string());
                }
                last.push("[DONE]".to_owned());
                last
            }
        };
        futures::future::ready(Some(frames))
    });
    let frames = frames.flat_map(|frames| stream::iter(frames.into_iter().map(|data| Ok(Frame::default().data(data)))));
    Sse::new(frames).keep_alive(KeepAlive::default())
}

/// The pieces of one text, each with the tokens that it counts for.
fn texts(
    kind: Kind,
    index: usize,
    logs: bool,
    started: Started,
) -> impl Stream<Item = Result<(Value, usize)>> + Send + 'static {
    let thoughts = started.thoughts();
    stream::unfold(Some((started, thoughts)), move |state| async move {
        let (mut started, mut thoughts) = state?;
        let event = started.next().await.transpose()?;
        let piece = match event {
            Ok(Event::Token(token)) => {
                let logprobs = Logprobs { of_chat: vec![of_chat(&started, &token)] }.json(kind, logs, 0);
                Ok((piece(kind, index, &thoughts.push(&token.text), false, logprobs, None), 1))
            }
            // Comes only where something is read out.
            Ok(Event::Read(_)) => Ok((piece(kind, index, &Part::default(), false, Value::Null, None), 0)),
            Ok(Event::Finish(finish)) => {
                let part = last(&mut thoughts, &finish.text);
                return Some((
                    Ok((piece(kind, index, &part, false, Value::Null, Some(reason(&finish.reason))), 0)),
                    None,
                ));
            }
            Err(error) => return Some((Err(error), None)),
        };
        Some((piece, Some((started, thoughts))))
    })
}

/// The end of a text.
fn last(thoughts: &mut Thoughts, text: &str) -> Part {
    let (before, rest) = (thoughts.push(text), thoughts.finish());
    Part { thinking: before.thinking + &rest.thinking, answer: before.answer + &rest.answer }
}

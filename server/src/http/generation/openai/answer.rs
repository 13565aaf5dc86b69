//! Texts as OpenAI answers them, at once or piece by piece.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use futures::future::try_join_all;
use futures::stream::{self, Stream, StreamExt};
use latentdb_engine::Result;
use latentdb_udfs::generation::{Event, FinishReason, Part, Prompt, Started, Thoughts};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::logprobs::ChatToken;
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
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CompletionHead)]
struct Head {
    id: String,
    object: &'static str,
    /// When, in seconds since 1970.
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
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    /// Of a request, before anything is made. A prompt counts once, however many choices it has.
    fn of(begun: &[Started], choices: usize) -> Self {
        let prompt_tokens = begun.iter().step_by(choices.max(1)).map(|one| one.prompt_tokens).sum();
        Self { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens }
    }

    fn add(&mut self, made: usize) {
        self.completion_tokens += made;
        self.total_tokens += made;
    }
}

fn reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::Stop(_) | FinishReason::StopString(_) => "stop",
    }
}

/// The log-probabilities of a chat's answer.
#[derive(Debug, Serialize, ToSchema)]
struct ChatLogprobs {
    content: Vec<ChatToken>,
}

/// The log-probabilities of a text, in parallel lists.
#[derive(Debug, Default, Serialize, ToSchema)]
struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    /// The likeliest tokens at each place, by their texts.
    top_logprobs: Vec<BTreeMap<String, Option<f32>>>,
    /// Where each token begins, in characters.
    text_offset: Vec<usize>,
}

impl TextLogprobs {
    fn new(tokens: Vec<ChatToken>, mut offset: usize) -> Self {
        let mut lists = Self::default();
        for token in tokens {
            lists.text_offset.push(offset);
            offset += token.itself.token.chars().count();
            lists.top_logprobs.push(token.top_logprobs.into_iter().map(|other| (other.token, other.logprob)).collect());
            lists.token_logprobs.push(token.itself.logprob);
            lists.tokens.push(token.itself.token);
        }
        lists
    }
}

/// A choice of an answer to a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatChoice {
    index: usize,
    message: AnswerMessage,
    logprobs: Option<ChatLogprobs>,
    /// `stop` or `length`.
    finish_reason: Option<&'static str>,
}

/// What the model says.
#[derive(Debug, Serialize, ToSchema)]
struct AnswerMessage {
    #[schema(example = "assistant")]
    role: &'static str,
    content: String,
    /// What the model thought before, if it was asked to think.
    reasoning_content: Option<String>,
    refusal: Option<String>,
}

/// A choice of how a text goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextChoice {
    index: usize,
    text: String,
    logprobs: Option<TextLogprobs>,
    /// `stop` or `length`.
    finish_reason: Option<&'static str>,
}

/// A choice of either API.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Choice {
    Chat(ChatChoice),
    Text(TextChoice),
}

/// A whole answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Completion)]
pub(super) struct Whole<C> {
    #[serde(flatten)]
    head: Head,
    choices: Vec<C>,
    usage: Usage,
}

/// The answer, once all texts are whole.
pub(super) async fn answer(kind: Kind, wanted: &Wanted, begun: Vec<Started>) -> Result<Whole<Choice>> {
    let mut usage = Usage::of(&begun, wanted.choices);
    let texts = begun.into_iter().zip(&wanted.requests).enumerate().map(|(index, (started, request))| {
        let before = echoed(wanted, &request.prompt).to_owned();
        choice(kind, index, before, request.logprobs.is_some(), started)
    });
    let made = try_join_all(texts).await?;
    usage.add(made.iter().map(|(_, made)| made).sum());
    let choices = made.into_iter().map(|(choice, _)| choice).collect();
    Ok(Whole { head: Head::new(kind, false, &wanted.model), choices, usage })
}

/// A whole choice, with the tokens that it took. Its text begins with `before`.
async fn choice(kind: Kind, index: usize, before: String, logs: bool, mut started: Started) -> Result<(Choice, usize)> {
    let offset = before.chars().count();
    let (mut text, mut tokens, mut finish_reason) = (before, Vec::new(), None);
    let (mut thoughts, mut thinking) = (started.thoughts(), String::new());
    let mut add = |part: Part| {
        text.push_str(&part.answer);
        thinking.push_str(&part.thinking);
    };
    while let Some(event) = started.next().await? {
        match event {
            Event::Token(token) => {
                add(thoughts.push(&token.text));
                tokens.push(ChatToken::new(&started, &token));
            }
            Event::Read(_) => {}
            Event::Finish(finish) => {
                add(last(&mut thoughts, &finish.text));
                finish_reason = Some(reason(&finish.reason));
            }
        }
    }
    let reasoning_content = thoughts.has_thought().then_some(thinking);
    let made = tokens.len();
    let choice = match kind {
        Kind::Chat => Choice::Chat(ChatChoice {
            index,
            message: AnswerMessage { role: "assistant", content: text, reasoning_content, refusal: None },
            logprobs: logs.then_some(ChatLogprobs { content: tokens }),
            finish_reason,
        }),
        Kind::Text => {
            let logprobs = logs.then(|| TextLogprobs::new(tokens, offset));
            Choice::Text(TextChoice { index, text, logprobs, finish_reason })
        }
    };
    Ok((choice, made))
}

/// The log-probabilities of a piece of one token; null where they are not wanted.
fn piece_logprobs(kind: Kind, is_wanted: bool, token: ChatToken) -> Value {
    let written = match kind {
        _ if !is_wanted => Ok(Value::Null),
        Kind::Chat => serde_json::to_value(ChatLogprobs { content: vec![token] }),
        Kind::Text => serde_json::to_value(TextLogprobs::new(vec![token], 0)),
    };
    written.unwrap_or_default()
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
                usage.add(made);
                vec![head.with(vec![choice]).to_string()]
            }
            Some(Err(error)) => vec![json!(OpenAiError::body(&error)).to_string()],
            None => {
                let mut last = Vec::new();
                if include_usage {
                    let mut chunk = head.with(Vec::new());
                    if let Some(members) = chunk.as_object_mut() {
                        members.insert("usage".to_owned(), json!(usage));
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
                let logprobs = piece_logprobs(kind, logs, ChatToken::new(&started, &token));
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

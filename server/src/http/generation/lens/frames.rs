//! The messages of a reading, in Neuronpedia's shapes.

use std::collections::VecDeque;

use latentdb_engine::Result;
use latentdb_udfs::generation::{Event, Read, StartedLens, TokenLogit};
use serde_json::{Map, Value, json};

use super::glyphs::{Glyph, Glyphs};
use super::request::Asked;

/// A reading on its way.
pub(super) struct Frames {
    started: StartedLens,
    meta: Value,
    prompt: Vec<Glyph>,
    glyphs: Glyphs,
    /// Messages of generated tokens that wait for the rest of their character.
    waiting: VecDeque<Value>,
    completion: Vec<u32>,
    is_over: bool,
}

impl Frames {
    pub(super) fn new(asked: &Asked, started: StartedLens) -> Result<Self> {
        let Asked { request, prepend_bos } = asked;
        let kinds: Vec<Value> = started.lenses.iter().map(|(kind, _)| json!(kind)).collect();
        let by_type = started.lenses.iter().zip(&kinds);
        let layers: Map<String, Value> =
            by_type.map(|((_, layers), kind)| (kind.as_str().unwrap_or_default().to_owned(), json!(layers))).collect();
        let meta = json!({
            "kind": "meta",
            "model": request.model,
            "types": kinds,
            "layers_by_type": layers,
            "top_n": request.top_k,
            "prompt_len": started.tokens.len(),
            "num_completion_tokens": request.max_tokens,
            "temperature": request.sampling.temperature,
            "prepend_bos": prepend_bos,
            "reuse_len": started.from,
        });
        let prompt = Glyphs::all(&started.tokens, |tokens| decode(&started, tokens));
        let (glyphs, waiting) = (Glyphs::default(), VecDeque::new());
        Ok(Self { started, meta, prompt, glyphs, waiting, completion: Vec::new(), is_over: false })
    }

    /// What is read, and how.
    pub(super) fn meta(&self) -> Value {
        self.meta.clone()
    }

    /// The tokens of the prompt, before anything is read.
    pub(super) fn prompt(&self) -> Value {
        let shown = self.prompt.iter().zip(&self.started.tokens).enumerate();
        let tokens: Vec<Value> =
            shown.map(|(position, (glyph, token))| place(position, *token, false, glyph)).collect();
        json!({ "kind": "prompt", "tokens": tokens })
    }

    /// The next messages; none after the last one, which is `done`.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>> {
        if self.is_over {
            return Ok(None);
        }
        loop {
            let messages = match self.started.next().await? {
                Some(Event::Read(read)) => self.token(read),
                Some(Event::Token(_)) => Vec::new(),
                Some(Event::Finish(_)) | None => {
                    self.is_over = true;
                    let rest = self.glyphs.finish(|tokens| decode(&self.started, tokens));
                    let mut last = self.shown(rest);
                    last.push(self.done()?);
                    last
                }
            };
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
        }
    }

    /// The messages that can be sent now that a token was read.
    fn token(&mut self, read: Read) -> Vec<Value> {
        let Read { position, token, said } = read;
        let is_generated = position >= self.started.tokens.len();
        let results: Vec<Value> = self
            .started
            .lenses
            .iter()
            .zip(said)
            .map(|((kind, _), layers)| {
                let of = |show: &dyn Fn(&TokenLogit) -> Value| -> Vec<Value> {
                    layers.iter().map(|layer| layer.iter().map(show).collect()).collect()
                };
                json!({
                    "type": kind,
                    "top_tokens": of(&|likely| {
                        self.started.token_text(likely.token).into()
                    }),
                    "top_probs": of(&|likely| json!((f64::from(likely.probability) * 1e4).round() / 1e4)),
                })
            })
            .collect();
        let nothing = Glyph { text: String::new(), is_continuation: false };
        let glyph = self.prompt.get(position).unwrap_or(&nothing);
        let mut message = place(position, token, is_generated, glyph);
        set(&mut message, "kind", "token".into());
        set(&mut message, "results", results.into());
        if !is_generated {
            return vec![message];
        }
        self.completion.push(token);
        self.waiting.push_back(message);
        let shown = self.glyphs.push(token, |tokens| decode(&self.started, tokens));
        self.shown(shown)
    }

    /// The messages of tokens whose texts are known now.
    fn shown(&mut self, glyphs: Vec<Glyph>) -> Vec<Value> {
        let waiting = self.waiting.drain(..glyphs.len().min(self.waiting.len()));
        let texts = waiting.zip(glyphs).map(|(mut message, glyph)| {
            set(&mut message, "token", glyph.text.into());
            set(&mut message, "is_char_continuation", glyph.is_continuation.into());
            message
        });
        texts.collect()
    }

    fn done(&self) -> Result<Value> {
        let prompt = self.started.tokens.len();
        Ok(json!({
            "kind": "done",
            "seq_len": prompt + self.completion.len(),
            "prompt_len": prompt,
            "vocab_size": self.started.vocabulary(),
            "completion": self.started.text(&self.completion)?,
        }))
    }
}

/// A token and where it is.
fn place(position: usize, token: u32, is_generated: bool, glyph: &Glyph) -> Value {
    json!({
        "position": position,
        "token": glyph.text,
        "id": token,
        "is_generated": is_generated,
        "is_char_continuation": glyph.is_continuation,
    })
}

fn set(message: &mut Value, name: &str, value: Value) {
    if let Some(members) = message.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn decode(started: &StartedLens, tokens: &[u32]) -> String {
    started.text(tokens).unwrap_or_default()
}

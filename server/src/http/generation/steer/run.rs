//! The two texts of a run while they grow.

use futures::future::{Either, select};
use latentdb_engine::Result;
use latentdb_udfs::Models;
use latentdb_udfs::generation::{Event, Message, Part, Prompt, Started, Thoughts};
use serde_json::{Value, json};

use super::super::logprobs::neuronpedia;
use super::request::Asked;

/// A run: the default text, and the steered one.
pub(super) struct Run {
    default: Side,
    steered: Option<Side>,
    /// Of a conversation.
    settings: Option<Value>,
    pub(super) model: String,
}

/// One text.
struct Side {
    started: Started,
    is_over: bool,
    text: String,
    thoughts: Thoughts,
    /// What was thought, and what was answered.
    part: Part,
    logprobs: Vec<Value>,
    /// The conversation that it answers, if it is one.
    messages: Option<Vec<Message>>,
}

impl Run {
    /// Begins both texts.
    pub(super) async fn begin(models: &Models, asked: Asked) -> Result<Self> {
        let started = models.begin(&asked.default).await?;
        let default = Side::new(started, asked.default.prompt);
        let steered = match asked.steered {
            Some(request) => Some(Side::new(models.begin(&request).await?, request.prompt)),
            None => None,
        };
        Ok(Self { default, steered, settings: asked.settings, model: asked.default.model })
    }

    /// Waits until one of the texts has grown; none once both are whole.
    pub(super) async fn advance(&mut self) -> Result<Option<()>> {
        let Self { default, steered, .. } = self;
        match (default.is_over, steered.as_mut().filter(|steered| !steered.is_over)) {
            (true, None) => Ok(None),
            (false, None) => default.advance().await.map(Some),
            (true, Some(steered)) => steered.advance().await.map(Some),
            (false, Some(steered)) => {
                let (default, steered) = (Box::pin(default.advance()), Box::pin(steered.advance()));
                match select(default, steered).await {
                    Either::Left((done, _)) | Either::Right((done, _)) => done.map(Some),
                }
            }
        }
    }

    /// The answer so far.
    pub(super) fn answer(&self) -> Value {
        let of = |side: &Side| match &self.settings {
            Some(_) => side.conversation(),
            None => Value::from(side.text.as_str()),
        };
        let mut answer = json!({
            "DEFAULT": of(&self.default),
            "STEERED": self.steered.as_ref().map_or(Value::Null, of),
            "id": null,
            "shareUrl": null,
            "limit": null,
        });
        if let Some(members) = answer.as_object_mut() {
            match &self.settings {
                Some(settings) => drop(members.insert("settings".to_owned(), settings.clone())),
                None => {
                    members.insert("defaultLogProbs".to_owned(), self.default.logprobs.clone().into());
                    let steered = self.steered.as_ref().map(|steered| steered.logprobs.clone());
                    members.insert("steeredLogProbs".to_owned(), steered.into());
                }
            }
        }
        answer
    }

    /// Name of this kind of run in the table `saved_runs`.
    pub(super) fn kind(&self) -> &'static str {
        if self.settings.is_some() { "steer_chat" } else { "steer" }
    }
}

impl Side {
    fn new(started: Started, prompt: Prompt) -> Self {
        let messages = match prompt {
            Prompt::Chat { messages, .. } => Some(messages),
            Prompt::Text { .. } | Prompt::Tokens(_) => None,
        };
        let thoughts = started.thoughts();
        let (text, part, logprobs) = (String::new(), Part::default(), Vec::new());
        Self { started, is_over: false, text, thoughts, part, logprobs, messages }
    }

    /// Takes in the next event. Safe to drop: what was not waited for comes the next time.
    async fn advance(&mut self) -> Result<()> {
        match self.started.next().await? {
            Some(Event::Token(token)) => {
                self.take(&token.text);
                self.logprobs.push(neuronpedia(&self.started, &token));
            }
            Some(Event::Read(_)) => {}
            Some(Event::Finish(finish)) => {
                self.take(&finish.text);
                let rest = self.thoughts.finish();
                self.add(rest);
                self.is_over = true;
            }
            None => self.is_over = true,
        }
        Ok(())
    }

    fn take(&mut self, text: &str) {
        self.text.push_str(text);
        let part = self.thoughts.push(text);
        self.add(part);
    }

    fn add(&mut self, part: Part) {
        self.part.thinking.push_str(&part.thinking);
        self.part.answer.push_str(&part.answer);
    }

    /// The conversation with its answer, and the whole text that the model sees and writes.
    fn conversation(&self) -> Value {
        let mut answer = json!({ "role": "assistant", "content": self.part.answer });
        if let Some(members) = answer.as_object_mut().filter(|_| self.thoughts.has_thought()) {
            members.insert("reasoning_content".to_owned(), self.part.thinking.as_str().into());
        }
        let before = self.messages.iter().flatten();
        let mut turns: Vec<Value> =
            before.map(|message| json!({ "role": message.role, "content": message.content })).collect();
        turns.push(answer);
        json!({
            "raw": format!("{}{}", self.started.prompt, self.text),
            "chatTemplate": turns,
            "logprobs": self.logprobs,
        })
    }
}

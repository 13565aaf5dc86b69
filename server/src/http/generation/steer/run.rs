//! The two texts of a run while they grow.

use futures::future::{Either, select};
use latentdb_engine::Result;
use latentdb_udfs::Models;
use latentdb_udfs::generation::{Event, Message, Part, Prompt, Started, Thoughts};

use super::super::logprobs::SteeredToken;
use super::answer::{ChatAnswer, Conversation, Kept, Settings, SteerAnswer, TextAnswer, Turn};
use super::request::Asked;

/// A run: the default text, and the steered one.
pub(super) struct Run {
    default: Side,
    steered: Option<Side>,
    /// Of a conversation.
    settings: Option<Settings>,
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
    logprobs: Vec<SteeredToken>,
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
    pub(super) fn answer(&self) -> SteerAnswer {
        let Self { default, steered, settings, .. } = self;
        match settings {
            Some(settings) => SteerAnswer::Chat(ChatAnswer {
                default: default.conversation(),
                steered: steered.as_ref().map(Side::conversation),
                settings: settings.clone(),
                kept: Kept::default(),
            }),
            None => SteerAnswer::Text(TextAnswer {
                default: default.text.clone(),
                steered: steered.as_ref().map(|steered| steered.text.clone()),
                default_logprobs: default.logprobs.clone(),
                steered_logprobs: steered.as_ref().map(|steered| steered.logprobs.clone()),
                kept: Kept::default(),
            }),
        }
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
                self.logprobs.push(SteeredToken::new(&self.started, &token));
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
    fn conversation(&self) -> Conversation {
        let thought = self.thoughts.has_thought().then(|| self.part.thinking.clone());
        let before = self.messages.iter().flatten();
        let mut chat_template: Vec<Turn> =
            before.map(|message| Turn::new(&message.role, &message.content, None)).collect();
        chat_template.push(Turn::new("assistant", &self.part.answer, thought));
        Conversation {
            raw: format!("{}{}", self.started.prompt, self.text),
            chat_template,
            logprobs: self.logprobs.clone(),
        }
    }
}

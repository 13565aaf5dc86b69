//! A request for a text, and the text that has begun.

use futures::future::BoxFuture;
use latentdb_engine::Result;
use latentdb_runtime::generate::{Event, Generation, Request, Sampling, Stop};
use latentdb_runtime::model::Model;
use latentdb_runtime::service::Worker;
use latentdb_runtime::tokens::{Bos, ChatOptions, Message};

use super::steering::Steering;
use super::thoughts::Thoughts;
use crate::failure::from_runtime;
use crate::library::Models;

/// What is to be continued.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// A text. `prepend_bos` puts the model's BOS token in front, unless the text starts with it.
    Text {
        /// The text.
        text: String,
        /// Whether a BOS token comes first.
        prepend_bos: bool,
    },
    /// A conversation, which the model's chat template makes a text of.
    Chat {
        /// What has been said.
        messages: Vec<Message>,
        /// How it becomes a text.
        options: ChatOptions,
    },
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A request for a text.
#[derive(Debug, Clone)]
pub struct TextRequest {
    /// Model id, as in the table `models`.
    pub model: String,
    /// What is to be continued.
    pub prompt: Prompt,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end it.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens are told with each; none for no probabilities at all.
    pub logprobs: Option<usize>,
    /// What is changed in the model; none for the model as it is.
    pub steering: Option<Steering>,
}

/// A text that has begun.
#[derive(Debug)]
pub struct Started {
    /// The prompt as the model sees it, without a BOS token that was put in front.
    pub prompt: String,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// The text as it grows. Dropping it cancels.
    pub generation: Generation,
    thoughts: Thoughts,
    worker: Worker,
}

impl Started {
    /// The next event; none after the last.
    ///
    /// # Errors
    /// What the pass failed with; nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        self.generation.next().await.transpose().map_err(from_runtime)
    }

    /// Tells what is thought in the text from what is answered, if it is an answer in a conversation.
    pub fn thoughts(&self) -> Thoughts {
        self.thoughts.clone()
    }

    /// The text of a token.
    pub fn token_text(&self, token: u32) -> String {
        token_text(self.worker.model(), token)
    }
}

/// The text of a token.
pub(crate) fn token_text(model: &Model, token: u32) -> String {
    model.tokenizer().token_texts(&[token]).pop().unwrap_or_default()
}

impl Models {
    /// Begins a text. Waits while too many are under way.
    ///
    /// # Errors
    /// If there is no such model, feature or vector, the prompt is empty or too long, the model has no chat template, or the
    /// steering is none.
    pub fn begin<'a>(&'a self, request: &'a TextRequest) -> BoxFuture<'a, Result<Started>> {
        Box::pin(async move {
            let worker = self.worker(&request.model).await?;
            let (prompt, tokens) = tokens(worker.model(), &request.prompt)?;
            let interventions = match &request.steering {
                Some(steering) => self.interventions(&worker, &request.model, steering).await?,
                None => Vec::new(),
            };
            let thoughts = match &request.prompt {
                Prompt::Chat { .. } => Thoughts::after(&prompt),
                Prompt::Text { .. } | Prompt::Tokens(_) => Thoughts::none(),
            };
            let prompt_tokens = tokens.len();
            let asked = Request {
                prompt: tokens,
                max_tokens: request.max_tokens,
                sampling: request.sampling,
                stop: Stop { strings: request.stop.clone(), tokens: None },
                logprobs: request.logprobs,
                interventions,
                readout: None,
                patterns: None,
            };
            let generation = worker.generate(asked).await.map_err(from_runtime)?;
            Ok(Started { prompt, prompt_tokens, generation, thoughts, worker })
        })
    }
}

/// The prompt as text and as tokens. A template says itself where its BOS token goes.
pub(super) fn tokens(model: &Model, prompt: &Prompt) -> Result<(String, Vec<u32>)> {
    let tokenizer = model.tokenizer();
    let (text, bos) = match prompt {
        Prompt::Text { text, prepend_bos: true } => (text.clone(), Bos::Prepend),
        Prompt::Text { text, prepend_bos: false } => (text.clone(), Bos::Omit),
        Prompt::Chat { messages, options } => {
            (tokenizer.apply_chat(messages, *options).map_err(from_runtime)?, Bos::Omit)
        }
        Prompt::Tokens(tokens) => return Ok((tokenizer.decode(tokens).map_err(from_runtime)?, tokens.clone())),
    };
    let tokens = tokenizer.encode(&text, bos).map_err(from_runtime)?;
    Ok((text, tokens))
}

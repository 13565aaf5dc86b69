//! What OpenAI's clients ask.

use latentdb_udfs::generation::{ChatOptions, Message, Method, Prompt, Sampling, Steering, TextRequest};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::OpenAiError;

/// Tokens told beside each token at most.
const MOST_LOGPROBS: usize = 20;

/// What both kinds of request have. Fields of OpenAI's that change nothing here are let be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CompletionSettings)]
pub(super) struct Common {
    #[schema(example = "docs-3m")]
    model: String,
    temperature: Option<f32>,
    top_p: Option<f32>,
    /// Not OpenAI's, but most servers of its API have it.
    top_k: Option<usize>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    seed: Option<i64>,
    /// Choices of each prompt.
    n: Option<usize>,
    stop: Option<OneOrMany>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    /// Features and vectors that are turned up or down, as `steer` of SQL takes them.
    #[schema(value_type = Option<Vec<Object>>, example = json!([{"source": "3-res", "index": 5, "strength": 20}]))]
    steering: Option<Value>,
    /// `additive`, `orthogonal`, `cap`, `set`, `scale` or `ablate`.
    steer_method: Option<String>,
    strength_multiplier: Option<f32>,
    steer_special_tokens: Option<bool>,
}

/// One text, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = TextOrTexts)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// What a stream tells besides.
#[derive(Debug, Deserialize, ToSchema)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// `POST /v1/chat/completions`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ChatRequest {
    #[serde(flatten)]
    common: Common,
    messages: Vec<ChatMessage>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    /// Not OpenAI's: whether the model thinks before it answers. Other servers take it among the template's variables.
    enable_thinking: Option<bool>,
    #[serde(default)]
    chat_template_kwargs: TemplateVariables,
}

/// The variables of templates that are known here.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct TemplateVariables {
    enable_thinking: Option<bool>,
}

/// A turn of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
struct ChatMessage {
    #[schema(example = "user")]
    role: String,
    content: Option<Content>,
}

/// A text, or parts of one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ChatContent)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of what is said; of type `text`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChatContentPart)]
struct Part {
    r#type: String,
    text: Option<String>,
}

/// `POST /v1/completions`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http) struct CompletionRequest {
    #[serde(flatten)]
    common: Common,
    prompt: OneOrMany,
    max_tokens: Option<usize>,
    logprobs: Option<usize>,
    #[serde(default)]
    echo: bool,
}

/// What is to be generated, and how it is answered.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) model: String,
    /// One for each choice of the answer.
    pub(super) requests: Vec<TextRequest>,
    /// Choices of each prompt.
    pub(super) choices: usize,
    pub(super) streams: bool,
    pub(super) include_usage: bool,
    /// Whether texts begin with their prompts.
    pub(super) echo: bool,
}

impl ChatRequest {
    pub(super) fn wanted(self, most: usize) -> Result<Wanted, OpenAiError> {
        let messages = self.messages.into_iter().map(ChatMessage::read).collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(OpenAiError::refused("messages is empty"));
        }
        // Where nothing is said, an answer is as long as it gets; the model's context bounds it.
        let max_tokens = self.max_completion_tokens.or(self.max_tokens).unwrap_or(1024);
        let logprobs = self.logprobs.unwrap_or(false).then(|| self.top_logprobs.unwrap_or(0));
        let enable_thinking = self.enable_thinking.or(self.chat_template_kwargs.enable_thinking).unwrap_or(false);
        let options = ChatOptions { enable_thinking, ..ChatOptions::default() };
        self.common.wanted(vec![Prompt::Chat { messages, options }], max_tokens, logprobs, false, most)
    }
}

impl ChatMessage {
    fn read(self) -> Result<Message, OpenAiError> {
        let content = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                if let Some(part) = parts.iter().find(|part| part.r#type != "text") {
                    return Err(OpenAiError::refused(format!("messages cannot have content of type {}", part.r#type)));
                }
                parts.into_iter().filter_map(|part| part.text).collect()
            }
        };
        Ok(Message { role: self.role, content })
    }
}

impl CompletionRequest {
    pub(super) fn wanted(self, most: usize) -> Result<Wanted, OpenAiError> {
        let prompts = self.prompt.into_list();
        let prompts = prompts.into_iter().map(|text| Prompt::Text { text, prepend_bos: true }).collect();
        self.common.wanted(prompts, self.max_tokens.unwrap_or(16), self.logprobs, self.echo, most)
    }
}

impl Common {
    fn wanted(
        self,
        prompts: Vec<Prompt>,
        max_tokens: usize,
        logprobs: Option<usize>,
        echo: bool,
        most: usize,
    ) -> Result<Wanted, OpenAiError> {
        let choices = self.n.unwrap_or(1);
        if choices == 0 || choices.saturating_mul(prompts.len()) > most {
            return Err(OpenAiError::refused(format!("a request may ask for 1 to {most} texts")));
        }
        if self.presence_penalty.is_some_and(|penalty| penalty != 0.0) {
            return Err(OpenAiError::refused("presence_penalty is not supported; frequency_penalty is"));
        }
        if logprobs.is_some_and(|most| most > MOST_LOGPROBS) {
            return Err(OpenAiError::refused(format!(
                "there are at most {MOST_LOGPROBS} log-probabilities of a token"
            )));
        }
        let steering = self.steering()?;
        let seed = self.seed.map_or_else(rand::random::<u64>, |seed| seed as u64);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(1.0),
            top_k: self.top_k.unwrap_or(0),
            top_p: self.top_p.unwrap_or(1.0),
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            seed,
        };
        let stop = self.stop.map(OneOrMany::into_list).unwrap_or_default();
        let mut requests = Vec::with_capacity(choices * prompts.len());
        for prompt in &prompts {
            for choice in 0..choices {
                requests.push(TextRequest {
                    model: self.model.clone(),
                    prompt: prompt.clone(),
                    max_tokens,
                    // Each choice is drawn by numbers of its own.
                    sampling: Sampling { seed: seed.wrapping_add(choice as u64), ..sampling },
                    stop: stop.clone(),
                    logprobs,
                    steering: steering.clone(),
                });
            }
        }
        let include_usage = self.stream_options.is_some_and(|options| options.include_usage);
        Ok(Wanted { model: self.model, requests, choices, streams: self.stream, include_usage, echo })
    }

    fn steering(&self) -> Result<Option<Steering>, OpenAiError> {
        let Some(json) = self.steering.clone().filter(|json| !json.is_null()) else { return Ok(None) };
        let mut steering = Steering::from_json(json)?;
        if let Some(method) = &self.steer_method {
            steering.method = method.parse::<Method>()?;
        }
        steering.multiplier = self.strength_multiplier.unwrap_or(1.0);
        steering.skip_special = !self.steer_special_tokens.unwrap_or(true);
        Ok(Some(steering).filter(|steering| !steering.is_empty()))
    }
}

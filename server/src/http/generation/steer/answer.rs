//! The two texts of a run as Neuronpedia's clients read them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::logprobs::SteeredToken;

/// The answer so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum SteerAnswer {
    Text(TextAnswer),
    Chat(ChatAnswer),
}

/// The default text and the steered one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SteeredText)]
pub(in crate::http) struct TextAnswer {
    #[serde(rename = "DEFAULT")]
    pub(super) default: String,
    #[serde(rename = "STEERED")]
    pub(super) steered: Option<String>,
    #[serde(rename = "defaultLogProbs")]
    pub(super) default_logprobs: Vec<SteeredToken>,
    #[serde(rename = "steeredLogProbs")]
    pub(super) steered_logprobs: Option<Vec<SteeredToken>>,
    #[serde(flatten)]
    pub(super) kept: Kept,
}

/// The default conversation and the steered one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SteeredChat)]
pub(in crate::http) struct ChatAnswer {
    #[serde(rename = "DEFAULT")]
    pub(super) default: Conversation,
    #[serde(rename = "STEERED")]
    pub(super) steered: Option<Conversation>,
    pub(super) settings: Settings,
    #[serde(flatten)]
    pub(super) kept: Kept,
}

/// A conversation with its answer, and the whole text that the model sees and writes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SteeredConversation)]
pub(in crate::http) struct Conversation {
    pub(super) raw: String,
    pub(super) chat_template: Vec<Turn>,
    pub(super) logprobs: Vec<SteeredToken>,
}

/// One turn of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SteerMessage)]
pub(in crate::http) struct Turn {
    #[schema(example = "user")]
    pub(super) role: String,
    pub(super) content: String,
    /// What the model thought before it answered, if it was asked to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
}

impl Turn {
    pub(super) fn new(role: &str, content: &str, reasoning_content: Option<String>) -> Self {
        Self { role: role.to_owned(), content: content.to_owned(), reasoning_content }
    }
}

/// Under which id the run is kept.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeptRun)]
pub(in crate::http) struct Kept {
    /// What `/api/steer-load` restores the run by; null until the run is whole, and where the database takes no writes.
    pub(super) id: Option<String>,
    /// The page that shows the run.
    pub(super) share_url: Option<String>,
    pub(super) limit: Option<String>,
}

/// What a conversation was steered by.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SteeredChatSettings)]
pub(in crate::http) struct Settings {
    pub(super) temperature: f32,
    pub(super) n_tokens: usize,
    pub(super) freq_penalty: f32,
    pub(super) seed: i64,
    pub(super) strength_multiplier: f32,
    pub(super) steer_special_tokens: bool,
    pub(super) enable_thinking: bool,
    #[schema(value_type = String)]
    pub(super) steer_method: Value,
}

impl SteerAnswer {
    /// The same answer, of a run that is kept.
    pub(super) fn kept(mut self, kept: Kept) -> Self {
        match &mut self {
            Self::Text(answer) => answer.kept = kept,
            Self::Chat(answer) => answer.kept = kept,
        }
        self
    }
}

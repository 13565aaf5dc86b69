//! Log-probabilities as clients read them.

use latentdb_udfs::generation::{Started, Token};
use serde::Serialize;
use utoipa::ToSchema;

/// A token as Neuronpedia writes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SteeredToken {
    token: String,
    logprob: Option<f32>,
    /// The likeliest tokens there.
    top_logprobs: Vec<LikelyToken>,
}

/// A token that was likely.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct LikelyToken {
    token: String,
    logprob: f32,
}

impl SteeredToken {
    pub(super) fn new(started: &Started, token: &Token) -> Self {
        let likely = |(id, logprob): &(u32, f32)| LikelyToken { token: started.token_text(*id), logprob: *logprob };
        let top_logprobs = token.top.iter().map(likely).collect();
        Self { token: started.token_text(token.id), logprob: token.logprob, top_logprobs }
    }
}

/// A token as OpenAI's chat completions have it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ChatToken {
    #[serde(flatten)]
    pub(super) itself: ChatTokenText,
    pub(super) top_logprobs: Vec<ChatTokenText>,
}

/// A token's text, and how likely it was.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ChatTokenText {
    pub(super) token: String,
    pub(super) logprob: Option<f32>,
    /// The text in UTF-8.
    bytes: Vec<u8>,
}

impl ChatToken {
    pub(super) fn new(started: &Started, token: &Token) -> Self {
        let one = |id: u32, logprob: Option<f32>| {
            let token = started.token_text(id);
            ChatTokenText { bytes: token.as_bytes().to_vec(), token, logprob }
        };
        let top_logprobs = token.top.iter().map(|(id, logprob)| one(*id, Some(*logprob))).collect();
        Self { itself: one(token.id, token.logprob), top_logprobs }
    }
}

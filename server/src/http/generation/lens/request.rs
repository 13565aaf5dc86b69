//! What clients ask of `/api/lens/prompt`.

use latentdb_udfs::generation::{
    ChatOptions, LensKind, LensRequest, LensSteering, LensToken, Message, Prompt, Sampling, TokenChange,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;

/// Tokens shown for a layer at most.
const MOST_TOKENS: usize = 100;

/// The request, with Neuronpedia's names and defaults.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LensPromptRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
    #[schema(example = "The iterator")]
    prompt: Option<String>,
    /// Turns with `role` and `content`.
    #[schema(value_type = Option<Vec<Object>>)]
    chat: Option<Vec<Message>>,
    /// Tokens that are read as they are; nothing is generated then.
    #[serde(default)]
    input_token_ids: Vec<u32>,
    /// The lenses, `LOGIT_LENS` and `JACOBIAN_LENS`; all that the model has if there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    r#type: Vec<LensKind>,
    #[serde(default)]
    layers: Vec<usize>,
    #[serde(default = "eight")]
    top_n: usize,
    #[serde(default)]
    temperature: f32,
    /// Not Neuronpedia's: start of the random numbers.
    seed: Option<i64>,
    #[serde(default = "many")]
    num_completion_tokens: usize,
    #[serde(default = "yes")]
    prepend_bos: bool,
    #[serde(default)]
    enable_thinking: bool,
    #[serde(default = "yes")]
    preserve_thinking: bool,
    #[serde(default)]
    cached_token_ids: Vec<u32>,
    #[serde(default = "yes")]
    filter_non_word_tokens: bool,
    /// Tokens whose directions are steered by, each with `token` and `type`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    steer_tokens: Vec<LensToken>,
    #[serde(default)]
    steer_layers: Vec<usize>,
    #[serde(default)]
    steer_strength: f32,
    #[serde(default)]
    steer_ablate: bool,
    #[schema(value_type = Option<Object>)]
    swap_token: Option<LensToken>,
    #[serde(default)]
    steer_generated_tokens: bool,
    #[serde(default = "yes")]
    pub(super) stream: bool,
}

fn eight() -> usize {
    8
}

fn many() -> usize {
    128
}

fn yes() -> bool {
    true
}

/// What is to be read, and what is said of it again.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: LensRequest,
    pub(super) prepend_bos: bool,
}

impl LensPromptRequest {
    pub(super) fn asked(self) -> Result<Asked, ApiError> {
        if !(1..=MOST_TOKENS).contains(&self.top_n) {
            return Err(ApiError::bad_request(format!("topN is {}: it is from 1 to {MOST_TOKENS}", self.top_n)));
        }
        let is_verbatim = !self.input_token_ids.is_empty();
        let steering = self.steering();
        let mut kinds: Vec<LensKind> = Vec::new();
        for kind in self.r#type {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let options = ChatOptions {
            enable_thinking: self.enable_thinking,
            preserve_thinking: self.preserve_thinking,
            continues_last: true,
        };
        let prompt = match (self.prompt, self.chat) {
            _ if is_verbatim => Prompt::Tokens(self.input_token_ids),
            (Some(text), None) => Prompt::Text { text, prepend_bos: self.prepend_bos },
            (None, Some(messages)) => Prompt::Chat { messages, options },
            _ => return Err(ApiError::bad_request("give exactly one of prompt, chat and inputTokenIds")),
        };
        let seed = self.seed.map_or_else(rand::random::<u64>, |seed| seed as u64);
        let request = LensRequest {
            model: self.model_id,
            prompt,
            kinds,
            layers: self.layers,
            top_k: self.top_n,
            only_words: self.filter_non_word_tokens,
            max_tokens: if is_verbatim { 0 } else { self.num_completion_tokens },
            sampling: Sampling { temperature: self.temperature, seed, ..Sampling::default() },
            known: self.cached_token_ids,
            steering,
        };
        Ok(Asked { request, prepend_bos: self.prepend_bos })
    }

    /// Without layers or tokens, nothing is steered.
    fn steering(&self) -> Option<LensSteering> {
        let change = match (&self.swap_token, self.steer_ablate, self.steer_strength) {
            (Some(token), ..) => TokenChange::Swap(token.clone()),
            (None, true, _) => TokenChange::Ablate,
            (None, false, 0.0) => return None,
            (None, false, strength) => TokenChange::Add(strength),
        };
        let steering = LensSteering {
            tokens: self.steer_tokens.clone(),
            layers: self.steer_layers.clone(),
            change,
            generated: self.steer_generated_tokens,
        };
        Some(steering).filter(|steering| !steering.tokens.is_empty() && !steering.layers.is_empty())
    }
}

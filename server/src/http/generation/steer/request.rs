//! What Neuronpedia's clients ask to have steered.

use latentdb_udfs::generation::{ChatOptions, Message, Method, Prompt, Sampling, Steering, TextRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::{Settings, Turn};
use crate::http::error::ApiError;

/// Likeliest tokens told with each, as Neuronpedia's site asks for.
const LOGPROBS: usize = 5;
/// Name of the source that rows of the table `vectors` are in.
const VECTORS: &str = "vectors";

/// What both kinds of request have.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SteerSettings)]
struct Common {
    #[serde(rename = "modelId")]
    #[schema(example = "docs-3m")]
    model: String,
    features: Vec<Feature>,
    #[schema(example = 0.5)]
    temperature: f32,
    #[schema(example = 32)]
    n_tokens: usize,
    /// Neuronpedia takes it and lets it be; here it works, and is 0 where it is not given.
    #[serde(default)]
    freq_penalty: f32,
    #[schema(example = 16)]
    seed: i64,
    #[schema(example = 1)]
    strength_multiplier: f32,
    /// Whether the answer is a stream of server-sent events, each the answer so far.
    #[serde(default)]
    stream: bool,
    /// `SIMPLE_ADDITIVE`, `ORTHOGONAL_DECOMP`, `PROJECTION_CAP`, `set`, `scale` or `ablate`.
    #[serde(default)]
    #[schema(value_type = String, default = "SIMPLE_ADDITIVE")]
    steer_method: Method,
}

/// What is turned up or down.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SteerFeature)]
struct Feature {
    #[serde(rename = "modelId")]
    model: Option<String>,
    /// A source, or `vectors`.
    #[schema(example = "3-res")]
    layer: String,
    /// A feature's number, as text or number, or a vector's id.
    #[schema(value_type = Object, example = 5)]
    index: Value,
    #[schema(example = 20)]
    strength: f32,
}

/// `POST /api/steer`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SteerRequest {
    #[serde(flatten)]
    common: Common,
    #[schema(example = "The iterator")]
    prompt: String,
}

/// `POST /api/steer-chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SteerChatRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(rename = "defaultChatMessages")]
    #[schema(value_type = Vec<Turn>)]
    default: Vec<Message>,
    #[serde(rename = "steeredChatMessages")]
    #[schema(value_type = Vec<Turn>)]
    steered: Vec<Message>,
    /// Whether the special tokens of the prompt are steered too.
    steer_special_tokens: bool,
    /// Not Neuronpedia's: whether the model thinks before it answers.
    #[serde(default)]
    enable_thinking: bool,
}

/// What is to be generated, and how it is answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) default: TextRequest,
    /// None where there is nothing to steer by.
    pub(super) steered: Option<TextRequest>,
    pub(super) streams: bool,
    /// Of a conversation, what is said of the settings.
    pub(super) settings: Option<Settings>,
    /// The request as it came.
    pub(super) json: Value,
}

impl SteerRequest {
    pub(super) fn asked(self, json: Value) -> Result<Asked, ApiError> {
        if self.common.features.is_empty() {
            return Err(ApiError::bad_request("features is empty: name at least one to steer by"));
        }
        let prompt = Prompt::Text { text: self.prompt, prepend_bos: true };
        let steered = self.common.request(prompt.clone(), Some(self.common.steering(true)?));
        let default = self.common.request(prompt, None);
        Ok(Asked { default, steered: Some(steered), streams: self.common.stream, settings: None, json })
    }
}

impl SteerChatRequest {
    pub(super) fn asked(self, json: Value) -> Result<Asked, ApiError> {
        let Self { common, default, steered, steer_special_tokens, enable_thinking } = self;
        let chat =
            |messages| Prompt::Chat { messages, options: ChatOptions { enable_thinking, ..ChatOptions::default() } };
        let is_steered = !common.features.is_empty();
        let steering = common.steering(steer_special_tokens)?;
        let settings = Settings {
            temperature: common.temperature,
            n_tokens: common.n_tokens,
            freq_penalty: common.freq_penalty,
            seed: common.seed,
            strength_multiplier: common.strength_multiplier,
            steer_special_tokens,
            enable_thinking,
            steer_method: json.get("steer_method").cloned().unwrap_or_else(|| "SIMPLE_ADDITIVE".into()),
        };
        let steered = is_steered.then(|| common.request(chat(steered), Some(steering)));
        let default = common.request(chat(default), None);
        Ok(Asked { default, steered, streams: common.stream, settings: Some(settings), json })
    }
}

impl Common {
    fn request(&self, prompt: Prompt, steering: Option<Steering>) -> TextRequest {
        TextRequest {
            model: self.model.clone(),
            prompt,
            max_tokens: self.n_tokens,
            sampling: Sampling {
                temperature: self.temperature,
                frequency_penalty: self.freq_penalty,
                seed: self.seed as u64,
                ..Sampling::default()
            },
            stop: Vec::new(),
            logprobs: Some(LOGPROBS),
            steering,
        }
    }

    fn steering(&self, steer_special_tokens: bool) -> Result<Steering, ApiError> {
        let items = self.features.iter().map(Feature::item).collect();
        let mut steering = Steering::from_json(Value::Array(items))?;
        steering.method = self.steer_method;
        steering.multiplier = self.strength_multiplier;
        steering.skip_special = !steer_special_tokens;
        Ok(steering)
    }
}

impl Feature {
    /// As an item of a steering.
    fn item(&self) -> Value {
        let Self { model, layer, index, strength } = self;
        if layer == VECTORS {
            let id = index.as_str().map_or_else(|| index.to_string(), str::to_owned);
            return json!({ "modelId": model, "vector": id, "strength": strength });
        }
        json!({ "modelId": model, "layer": layer, "index": index, "strength": strength })
    }
}

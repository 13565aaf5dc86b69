//! What Neuronpedia's clients ask to have steered.

use latentdb_udfs::generation::{ChatOptions, Message, Method, Prompt, Sampling, Steering, TextRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::error::ApiError;

/// Likeliest tokens told with each, as Neuronpedia's site asks for.
const LOGPROBS: usize = 5;
/// Name of the source that rows of the table `vectors` are in.
const VECTORS: &str = "vectors";

/// What both kinds of request have.
#[derive(Debug, Deserialize)]
struct Common {
    #[serde(rename = "modelId")]
    model: String,
    features: Vec<Feature>,
    temperature: f32,
    n_tokens: usize,
    /// Neuronpedia takes it and lets it be; here it works, and is 0 where it is not given.
    #[serde(default)]
    freq_penalty: f32,
    seed: i64,
    strength_multiplier: f32,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    steer_method: Method,
}

#[derive(Debug, Deserialize)]
struct Feature {
    #[serde(rename = "modelId")]
    model: Option<String>,
    layer: String,
    index: Value,
    strength: f32,
}

/// `POST /api/steer`.
#[derive(Debug, Deserialize)]
pub(super) struct SteerRequest {
    #[serde(flatten)]
    common: Common,
    prompt: String,
}

/// `POST /api/steer-chat`.
#[derive(Debug, Deserialize)]
pub(super) struct SteerChatRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(rename = "defaultChatMessages")]
    default: Vec<Message>,
    #[serde(rename = "steeredChatMessages")]
    steered: Vec<Message>,
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
    pub(super) settings: Option<Value>,
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
        let settings = json!({
            "temperature": common.temperature,
            "n_tokens": common.n_tokens,
            "freq_penalty": common.freq_penalty,
            "seed": common.seed,
            "strength_multiplier": common.strength_multiplier,
            "steer_special_tokens": steer_special_tokens,
            "enable_thinking": enable_thinking,
            "steer_method": json.get("steer_method").cloned().unwrap_or_else(|| "SIMPLE_ADDITIVE".into()),
        });
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

//! `POST /api/steer-logits`: features of transcoders set at chosen positions, and the likeliest tokens before and after.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use latentdb_engine::{Error, ErrorKind, RepeatedQuery, ScalarValue};
use latentdb_udfs::generation::{Sampling, Shift, ShiftRequest, TokenLogits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::cells::text_at;
use crate::http::error::ApiError;

/// Tokens shown at each position at most.
const MOST_TOKENS: usize = 100;

/// What is shifted, and how the text goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SteerLogitsRequest {
    #[schema(example = "docs-3m")]
    model_id: String,
    /// The model's only set of transcoders, if it is not given.
    source_set_name: Option<String>,
    #[schema(example = "The iterator")]
    prompt: String,
    features: Vec<Feature>,
    /// Tokens to generate.
    #[serde(default = "many")]
    n_tokens: usize,
    /// Tokens shown at each position, 100 at most.
    #[serde(default = "five")]
    top_k: usize,
    /// Whether the patterns of attention stay those of the text that is not steered.
    #[serde(default = "yes")]
    freeze_attention: bool,
    #[serde(default = "half")]
    temperature: f32,
    #[serde(default = "one")]
    freq_penalty: f32,
    #[serde(default = "sixteen")]
    seed: Option<i64>,
}

/// A feature of a transcoder: shifted by `delta`, or taken out.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ShiftedFeature)]
struct Feature {
    layer: usize,
    index: usize,
    /// Where the feature's activation is read, which `delta` is a multiple of.
    token_active_position: usize,
    /// Where it is shifted, unless generated tokens are.
    steer_position: Option<usize>,
    #[serde(default)]
    steer_generated_tokens: bool,
    delta: Option<f32>,
    #[serde(default)]
    ablate: bool,
}

fn many() -> usize {
    256
}

fn five() -> usize {
    5
}

fn yes() -> bool {
    true
}

fn half() -> f32 {
    0.5
}

fn one() -> f32 {
    1.0
}

fn sixteen() -> Option<i64> {
    Some(16)
}

/// Both texts, and what was likely at each of their positions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::http) struct SteerLogitsAnswer {
    default_generation: String,
    steered_generation: String,
    default_logits_by_token: Vec<LogitsAtToken>,
    steered_logits_by_token: Vec<LogitsAtToken>,
}

/// A token, and the likeliest ones after it.
#[derive(Debug, Serialize, ToSchema)]
struct LogitsAtToken {
    token: String,
    top_logits: Vec<TopLogit>,
}

/// A likely token.
#[derive(Debug, Serialize, ToSchema)]
struct TopLogit {
    token: String,
    prob: f32,
    logit: f32,
}

/// Shifts features of transcoders at chosen positions, and shows the likeliest tokens before and after.
#[utoipa::path(
    post, path = "/api/steer-logits", tag = "Steering", operation_id = "steerLogits", request_body = SteerLogitsRequest,
    responses((status = 200, description = "Both texts with their likeliest tokens", body = SteerLogitsAnswer), ApiError)
)]
pub(in crate::http) async fn post_steer_logits(
    State(app): State<Arc<App>>,
    body: Result<Json<SteerLogitsRequest>, JsonRejection>,
) -> Result<Json<SteerLogitsAnswer>, ApiError> {
    let Json(asked) = body.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    if asked.top_k > MOST_TOKENS {
        return Err(ApiError::bad_request(format!("topK is {}: it is at most {MOST_TOKENS}", asked.top_k)));
    }
    let source_set = match &asked.source_set_name {
        Some(named) => named.clone(),
        None => only_transcoders(&app, &asked.model_id).await?,
    };
    let greedy = asked.temperature <= 0.0;
    let sampling = Sampling {
        temperature: asked.temperature,
        // As upstream: where nothing is drawn, the penalty is without effect.
        frequency_penalty: if greedy { 0.0 } else { asked.freq_penalty },
        seed: asked.seed.map_or_else(rand::random::<u64>, |seed| seed as u64),
        ..Sampling::default()
    };
    let request = ShiftRequest {
        model: asked.model_id,
        source_set,
        prompt: asked.prompt,
        shifts: asked.features.into_iter().map(Feature::shift).collect::<Result<_, _>>()?,
        max_tokens: asked.n_tokens,
        top_k: asked.top_k,
        freeze_attention: asked.freeze_attention,
        sampling,
    };
    let found = super::super::models(&app)?.shift_features(&request).await?;
    Ok(Json(SteerLogitsAnswer {
        default_generation: whole(&found.default),
        steered_generation: whole(&found.steered),
        default_logits_by_token: by_token(&found.default),
        steered_logits_by_token: by_token(&found.steered),
    }))
}

impl Feature {
    fn shift(self) -> Result<Shift, ApiError> {
        let Self { layer, index, token_active_position: active_at, steer_position, .. } = self;
        let refused =
            |message: &str| Err(ApiError::bad_request(format!("feature {index} of layer {layer}: {message}")));
        match (self.ablate, self.delta) {
            (true, Some(_)) => return refused("give a delta or ablate it, not both"),
            (false, None) => return refused("it has no delta; ablate says that it is taken out"),
            _ => {}
        }
        match (self.steer_generated_tokens, steer_position) {
            (true, Some(_)) => return refused("steer generated tokens or a position; name the feature twice for both"),
            (false, None) => return refused("it has no steer_position, and steer_generated_tokens is false"),
            _ => {}
        }
        Ok(Shift { layer, index, active_at, at: steer_position, delta: self.delta })
    }
}

/// The only source set of a model that is of transcoders.
async fn only_transcoders(app: &App, model: &str) -> Result<String, ApiError> {
    const SETS: &str =
        "SELECT set_id FROM source_sets WHERE model_id = $1 AND kind IN ('transcoder', 'clt') ORDER BY set_id";
    let sets = RepeatedQuery::new(app.engine.clone(), "http", SETS).rows(&[ScalarValue::from(model)]).await?;
    match (sets.num_rows(), text_at(&sets, 0, 0)) {
        (1, Some(only)) => Ok(only.to_owned()),
        (count, _) => {
            let error = Error::new(ErrorKind::InvalidValue, format!("{model} has {count} sets of transcoders"));
            Err(error.with_hint("name one as sourceSetName; latentdb source add adds transcoders").into())
        }
    }
}

fn whole(tokens: &[TokenLogits]) -> String {
    tokens.iter().map(|token| token.token.as_str()).collect()
}

fn by_token(tokens: &[TokenLogits]) -> Vec<LogitsAtToken> {
    let shown = |token: &TokenLogits| {
        let likeliest = token.likeliest.iter();
        let top_logits = likeliest
            .map(|(text, likely)| TopLogit { token: text.clone(), prob: likely.probability, logit: likely.logit })
            .collect();
        LogitsAtToken { token: token.token.clone(), top_logits }
    };
    tokens.iter().map(shown).collect()
}

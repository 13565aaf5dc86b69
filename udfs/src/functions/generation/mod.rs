//! Functions that generate text: what they have in common.

mod chat;
mod generate;
mod steer;
mod texts;

use futures::future::try_join_all;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, Result, Volatility};

pub(super) use self::chat::Chat;
pub(super) use self::generate::Generate;
pub(super) use self::steer::Steer;
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::generation::{ChatOptions, Prompt, Sampling, Steering, TextRequest};
use crate::library::Models;
use crate::rows::record_of;
use texts::Text;

/// How tokens are chosen, and what ends a text: the options that all have.
fn options() -> Vec<FunctionParameter> {
    vec![
        FunctionParameter::optional("max_tokens", "integer", "64", "Most tokens to generate"),
        FunctionParameter::optional(
            "temperature",
            "double precision",
            "0",
            "Divides the logits before a token is drawn; 0 takes the likeliest",
        ),
        FunctionParameter::optional("top_k", "integer", "0", "Draw from so many likeliest tokens; 0 for all"),
        FunctionParameter::optional(
            "top_p",
            "double precision",
            "1",
            "Draw from the likeliest tokens that have this probability together",
        ),
        FunctionParameter::optional(
            "frequency_penalty",
            "double precision",
            "0",
            "Taken from a token's logit for each time that it was generated",
        ),
        FunctionParameter::optional("seed", "bigint", "0", "Start of the random numbers; the same gives the same text"),
        FunctionParameter::optional("stop", "text[]", "NULL", "Texts that end it, and are not part of it"),
    ]
}

/// The options of steering.
pub(super) fn steering_options() -> Vec<FunctionParameter> {
    vec![
        FunctionParameter::optional(
            "method",
            "text",
            "'additive'",
            "additive, orthogonal, cap, set, scale or ablate, where the steering does not say it",
        ),
        FunctionParameter::optional("strength_multiplier", "double precision", "1", "Multiplies every strength"),
        FunctionParameter::optional(
            "steer_special_tokens",
            "boolean",
            "true",
            "Steer the prompt's special tokens too, BOS among them",
        ),
    ]
}

/// The request of one row. Log-probabilities of the chosen tokens always come along.
fn request(arguments: &Arguments, row: usize, prompt: Prompt, steering: Option<Steering>) -> Result<TextRequest> {
    let number = |name: &str| Ok::<_, Error>(arguments.number_or_none(name, row)?.unwrap_or_default() as f32);
    let sampling = Sampling {
        temperature: number("temperature")?,
        top_k: arguments.count("top_k", row)?,
        top_p: number("top_p")?,
        frequency_penalty: number("frequency_penalty")?,
        seed: arguments.whole("seed", row)? as u64,
    };
    Ok(TextRequest {
        model: arguments.text("model", row)?.to_owned(),
        prompt,
        max_tokens: arguments.count("max_tokens", row)?,
        sampling,
        stop: arguments.texts_or_none("stop", row)?.unwrap_or_default(),
        logprobs: Some(0),
        steering,
    })
}

/// The steering of one row, with the options that apply to all of it; none if it says nothing.
pub(super) fn steering(arguments: &Arguments, row: usize) -> Result<Option<Steering>> {
    let Some(json) = arguments.text_or_none("steering", row)? else { return Ok(None) };
    let mut steering = Steering::parse(json)?;
    steering.method = arguments.text("method", row)?.parse()?;
    steering.multiplier = arguments.number_or_none("strength_multiplier", row)?.unwrap_or(1.0) as f32;
    steering.skip_special = !arguments.flag("steer_special_tokens", row)?;
    Ok(Some(steering).filter(|steering| !steering.is_empty()))
}

/// A function that gives one text for a prompt of some kind, which `first` are the parameters of.
fn one_text(name: &'static str, summary: &'static str, first: Vec<FunctionParameter>) -> ModelFunction {
    let mut parameters = first;
    parameters.extend(options());
    parameters.push(FunctionParameter::optional(
        "steering",
        "text",
        "NULL",
        "Features and vectors to turn up or down, as JSON: [{\"source\": …, \"index\": …, \"strength\": …}]",
    ));
    parameters.extend(steering_options());
    let result = record_of(&texts::columns(""));
    ModelFunction { name, summary, parameters, result, gives_rows: false, volatility: Volatility::Stable }
}

/// The text of each row, whose prompt `read` finds.
async fn answer_each(
    models: &Models,
    arguments: &Arguments,
    read: fn(&Arguments, usize) -> Result<Prompt>,
) -> Result<Vec<Text>> {
    let requests = (0..arguments.rows())
        .map(|row| request(arguments, row, read(arguments, row)?, steering(arguments, row)?))
        .collect::<Result<_>>()?;
    generate_all(models, requests).await
}

/// The texts of all requests, in order. They grow together, as many at a time as the model's worker takes.
async fn generate_all(models: &Models, requests: Vec<TextRequest>) -> Result<Vec<Text>> {
    try_join_all(requests.iter().map(|request| text(models, request))).await
}

async fn text(models: &Models, request: &TextRequest) -> Result<Text> {
    let started = models.begin(request).await?;
    let worker = models.worker(&request.model).await?;
    let thoughts = started.thoughts();
    let completion = started.generation.whole().await.map_err(from_runtime)?;
    Ok(Text::new(worker.model(), completion, thoughts))
}

/// The prompt of one row.
fn prompt(arguments: &Arguments, row: usize) -> Result<Prompt> {
    let text = arguments.text("prompt", row)?.to_owned();
    Ok(Prompt::Text { text, prepend_bos: arguments.flag("prepend_bos", row)? })
}

/// The conversation of one row.
fn messages(arguments: &Arguments, row: usize) -> Result<Prompt> {
    let json = arguments.text("messages", row)?;
    let messages = serde_json::from_str(json).map_err(|error| {
        Error::new(ErrorKind::InvalidValue, format!("the messages cannot be read: {error}"))
            .with_hint("write [{\"role\": \"user\", \"content\": \"…\"}]")
    })?;
    let enable_thinking = arguments.flag("enable_thinking", row)?;
    Ok(Prompt::Chat { messages, options: ChatOptions { enable_thinking, ..ChatOptions::default() } })
}

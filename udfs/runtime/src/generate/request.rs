//! What a caller asks to have generated.

use std::sync::Arc;

use crate::lens::Readout;
use crate::steer::{Intervention, Patterns};

/// A prompt to be continued.
#[derive(Debug, Clone)]
pub struct Request {
    /// Tokens of the prompt; at least one.
    pub prompt: Vec<u32>,
    /// Most tokens to generate. Cut to what the model's context has room for.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What ends the text.
    pub stop: Stop,
    /// How many of the likeliest tokens are told with each token; none for no probabilities at all, 0 for those of the
    /// chosen tokens alone. They are of the model's own distribution: the log-softmax of its logits, steering included, before
    /// temperature, penalties and cuts.
    pub logprobs: Option<usize>,
    /// What is changed in the model, in order.
    pub interventions: Vec<Intervention>,
    /// What is read out at each position, the prompt's too, and that of the token that ends the text. With one, the last token
    /// is read as well.
    pub readout: Option<Readout>,
    /// Attention weights that the prompt is read with, in the place of its own.
    pub patterns: Option<Arc<Patterns>>,
}

impl Request {
    /// A greedy continuation of `prompt` by at most `max_tokens` tokens.
    pub fn new(prompt: Vec<u32>, max_tokens: usize) -> Self {
        Self {
            prompt,
            max_tokens,
            sampling: Sampling::default(),
            stop: Stop::default(),
            logprobs: None,
            interventions: Vec::new(),
            readout: None,
            patterns: None,
        }
    }
}

/// How a token is chosen. Penalties come first, then temperature, `top_k`, `top_p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 or less takes the likeliest token.
    pub temperature: f32,
    /// Only the so many likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens before which there is at most this probability; 1 or more for all.
    pub top_p: f32,
    /// Taken from a token's logit for each time that it was generated; -2 to 2. Works without temperature, too.
    pub frequency_penalty: f32,
    /// Start of the request's own random numbers.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, frequency_penalty: 0.0, seed: 0 }
    }
}

/// What ends a text before `max_tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    /// Texts that end it wherever they occur, across tokens too. They are not part of it.
    pub strings: Vec<String>,
    /// Tokens that end it, and are not part of it; none for those that the model's files name as its ends of text.
    pub tokens: Option<Vec<u32>>,
}

//! Log-probabilities as clients read them.

use latentdb_udfs::generation::{Started, Token};
use serde_json::{Value, json};

/// A token as Neuronpedia writes it; null without probabilities.
pub(super) fn neuronpedia(started: &Started, token: &Token) -> Value {
    let top: Vec<Value> =
        token.top.iter().map(|(id, logprob)| json!({ "token": started.token_text(*id), "logprob": logprob })).collect();
    json!({ "token": started.token_text(token.id), "logprob": token.logprob, "topLogprobs": top })
}

/// A token as OpenAI's chat completions have it.
pub(super) fn of_chat(started: &Started, token: &Token) -> Value {
    let one = |id: u32, logprob: Option<f32>| {
        let text = started.token_text(id);
        let bytes = text.as_bytes().to_vec();
        json!({ "token": text, "logprob": logprob, "bytes": bytes })
    };
    let mut whole = one(token.id, token.logprob);
    let top: Vec<Value> = token.top.iter().map(|(id, logprob)| one(*id, Some(*logprob))).collect();
    if let Some(members) = whole.as_object_mut() {
        members.insert("top_logprobs".to_owned(), top.into());
    }
    whole
}

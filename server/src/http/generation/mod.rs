//! Generated texts over HTTP: Neuronpedia's steering and lenses, and OpenAI's completions with a field `steering`.
//!
//! What always holds: a client that goes away ends its texts; what is streamed and what is answered at once are the same.

mod lens;
mod logprobs;
mod openai;
mod steer;

pub(super) use lens::post_lens_prompt;
pub(super) use openai::{get_models, post_chat_completions, post_completions};
pub(super) use steer::{post_presets, post_steer, post_steer_chat, post_steer_load, post_steer_logits, sweep_runs};

use latentdb_engine::{Error, ErrorKind};
use latentdb_udfs::Models;

use super::App;

/// The models, or why there are none.
fn models(app: &App) -> Result<&Models, Error> {
    app.models.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "this server runs no models").with_hint("start it with `latentdb serve`")
    })
}

//! Generated texts over HTTP: Neuronpedia's steering and lenses, and OpenAI's completions with a field `steering`.
//!
//! What always holds: a client that goes away ends its texts; what is streamed and what is answered at once are the same.

mod kept;
mod lens;
mod logprobs;
mod openai;
mod steer;

use latentdb_engine::{Error, ErrorKind};
use latentdb_udfs::Models;

pub(super) use self::openai::OpenAiErrorBody;
pub(super) use self::steer::sweep_runs;
use super::{App, Routes};

/// The endpoints.
pub(super) fn routes() -> Routes {
    steer::routes().merge(lens::routes()).merge(openai::routes())
}

/// The models, or why there are none.
fn models(app: &App) -> Result<&Models, Error> {
    app.models.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "this server runs no models").with_hint("start it with `latentdb serve`")
    })
}

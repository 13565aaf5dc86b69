//! Tokens a second of greedy texts from a model: `generate DIRECTORY [--tokens N] [--prompt N] [--streams 1,8] [--repeats N]
//! [--steer] [--weights f32|near|int8]`. Prints one JSON object a line; `first` are the tokens of the first text.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use latentdb_runtime::generate::Request;
use latentdb_runtime::model::StepWeights;
use latentdb_runtime::service::{ModelKey, Service, ServiceOptions, Worker};
use latentdb_runtime::steer::{Change, Intervention};
use latentdb_runtime::{Error, ErrorKind, Place, Point, Result};

struct Asked {
    directory: PathBuf,
    tokens: usize,
    prompt: usize,
    streams: Vec<usize>,
    repeats: usize,
    steers: bool,
    weights: StepWeights,
}

fn asked() -> Result<Asked> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidInput, format!("{what} is missing or is no number"));
    let mut words = std::env::args().skip(1);
    let directory = words.next().ok_or_else(|| bad("the model's directory"))?.into();
    let mut asked = Asked {
        directory,
        tokens: 100,
        prompt: 16,
        streams: vec![1, 8],
        repeats: 3,
        steers: false,
        weights: StepWeights::F32,
    };
    while let Some(word) = words.next() {
        if word == "--steer" {
            asked.steers = true;
            continue;
        }
        let value = words.next().unwrap_or_default();
        let number = || value.parse::<usize>().map_err(|_| bad(&word));
        match word.as_str() {
            "--tokens" => asked.tokens = number()?,
            "--prompt" => asked.prompt = number()?,
            "--repeats" => asked.repeats = number()?,
            "--weights" => {
                asked.weights = match value.as_str() {
                    "f32" => StepWeights::F32,
                    "near" => StepWeights::Near,
                    "int8" => StepWeights::Int8,
                    _ => return Err(bad(&word)),
                }
            }
            "--streams" => asked.streams = value.split(',').filter_map(|number| number.parse().ok()).collect(),
            _ => return Err(bad(&word)),
        }
    }
    Ok(asked)
}

/// The same prompts as `benches/generate.py` gives the others.
fn request(asked: &Asked, worker: &Worker, stream: usize) -> Request {
    let vocabulary = worker.model().config().d_vocab;
    let prompt = (0..asked.prompt).map(|place| ((1 + stream * 7919 + place * 104_729) % vocabulary) as u32).collect();
    let mut request = Request::new(prompt, asked.tokens);
    request.stop.tokens = Some(Vec::new());
    if asked.steers {
        let config = worker.model().config();
        let direction = (0..config.d_model).map(|place| ((place * place) as f32).sin()).collect();
        let point = Point::new(Place::ResidPost, config.n_layers / 2);
        request.interventions = vec![Intervention::new(point, Change::Add { direction, strength: 1.0 })];
    }
    request
}

async fn time(asked: &Asked, worker: &Worker, streams: usize) -> Result<(f64, Vec<u32>)> {
    let started = Instant::now();
    let mut texts = Vec::new();
    for stream in 0..streams {
        texts.push(worker.generate(request(asked, worker, stream)).await?);
    }
    let mut first = Vec::new();
    for (number, text) in texts.into_iter().enumerate() {
        let tokens = text.whole().await?.tokens;
        if number == 0 {
            first = tokens.iter().map(|token| token.id).collect();
        }
    }
    Ok((started.elapsed().as_secs_f64(), first))
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let asked = asked()?;
    let service = Service::new(ServiceOptions { step_weights: asked.weights, ..ServiceOptions::default() })?;
    let worker = service.model(&ModelKey { directory: asked.directory.clone(), dtype: None })?;
    for streams in asked.streams.clone() {
        let (mut best, mut first) = (f64::INFINITY, Vec::new());
        for _ in 0..=asked.repeats {
            let (seconds, tokens) = runtime.block_on(time(&asked, &worker, streams))?;
            (best, first) = (best.min(seconds), tokens);
        }
        let rate = (streams * asked.tokens) as f64 / best;
        println!("{{\"streams\": {streams}, \"tokens_per_second\": {rate:.2}, \"first\": {first:?}}}");
    }
    Ok(())
}

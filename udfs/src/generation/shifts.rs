//! Features of transcoders set at chosen positions, and what that does to the logits of a text: what circuits are probed by.
//!
//! A feature is set to what it is at one position of the prompt in the unchanged model, plus a shift. Activations are those of the
//! transcoder as it was trained: decoder norms are not folded, as in attribution graphs.

use std::sync::Arc;

use futures::future::{BoxFuture, try_join};
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::generate::{Event, Generation, Request, Sampling, Stop};
use latentdb_runtime::lens::{Lens, Readout, TokenLogit};
use latentdb_runtime::ops::{ActivateFeature, Probe};
use latentdb_runtime::service::Worker;
use latentdb_runtime::source::Source;
use latentdb_runtime::steer::{Change, Intervention, Patterns, Positions, Which};
use latentdb_runtime::tokens::Bos;

use crate::failure::from_runtime;
use crate::library::{Models, Reading};

/// A feature that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    /// Its layer.
    pub layer: usize,
    /// Its index in the source of that layer.
    pub index: usize,
    /// The position of the prompt where its activation is taken from.
    pub active_at: usize,
    /// The position of the prompt where it is set; none for all generated tokens.
    pub at: Option<usize>,
    /// What is added to its activation; none to set it to 0.
    pub delta: Option<f32>,
}

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct ShiftRequest {
    /// Model id, as in the table `models`.
    pub model: String,
    /// The source set that features are of.
    pub source_set: String,
    /// The prompt. A BOS token is put in front, unless it starts with it.
    pub prompt: String,
    /// What is set, in order.
    pub shifts: Vec<Shift>,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// Tokens shown at each position.
    pub top_k: usize,
    /// Whether the prompt is read with the attention weights of the unchanged model.
    pub freeze_attention: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// A token, and what the model expects after it.
#[derive(Debug, Clone)]
pub struct TokenLogits {
    /// Its text.
    pub token: String,
    /// The likeliest next tokens with their texts, likeliest first; none for tokens of the prompt before its last.
    pub likeliest: Vec<(String, TokenLogit)>,
}

/// Both texts, tokens of the prompt included.
#[derive(Debug, Clone)]
pub struct Shifted {
    /// Of the model as it is.
    pub default: Vec<TokenLogits>,
    /// With the features set.
    pub steered: Vec<TokenLogits>,
}

impl Models {
    /// Generates both texts.
    ///
    /// # Errors
    /// If there is no such model, source or feature, a position is not in the prompt, or the prompt is empty or too long.
    pub fn shift_features<'a>(&'a self, request: &'a ShiftRequest) -> BoxFuture<'a, Result<Shifted>> {
        Box::pin(async move {
            let worker = self.worker(&request.model).await?;
            let tokens = worker.model().tokenizer().encode(&request.prompt, Bos::Prepend).map_err(from_runtime)?;
            let interventions = self.shifts(&worker, request, &tokens).await?;
            let patterns = match request.freeze_attention && !interventions.is_empty() {
                true => Some(patterns(&worker, &tokens).await?),
                false => None,
            };
            let default = begin(&worker, request, &tokens, Vec::new(), None).await?;
            let steered = begin(&worker, request, &tokens, interventions, patterns).await?;
            let (default, steered) =
                try_join(whole(&worker, &tokens, default), whole(&worker, &tokens, steered)).await?;
            Ok(Shifted { default, steered })
        })
    }

    /// What setting the features comes to.
    async fn shifts(&self, worker: &Worker, request: &ShiftRequest, tokens: &[u32]) -> Result<Vec<Intervention>> {
        let mut found = Vec::with_capacity(request.shifts.len());
        for shift in &request.shifts {
            let named = format!("{}-{}", shift.layer, request.source_set);
            let source =
                self.source(worker, &request.model, &named, Reading { fold_decoder_norm: false }).await?.source;
            let value = match shift.delta {
                Some(delta) => activation(worker, &source, shift, tokens).await? + delta,
                None => 0.0,
            };
            let which = shift.at.map_or(Which::Generated, |position| Which::Chosen(vec![position]));
            let change = |feature| Change::Set { feature, value };
            let at = Positions { which, skip_special: false };
            found.push(Intervention::feature(source, shift.index, change).at(at));
        }
        Ok(found)
    }
}

/// A feature's activation where the shift takes it from.
async fn activation(worker: &Worker, source: &Arc<Source>, shift: &Shift, tokens: &[u32]) -> Result<f32> {
    let probe = Probe::Feature { source: Arc::clone(source), index: shift.index };
    let found = worker.run(vec![tokens.to_vec()], ActivateFeature::new(probe, false)).await.map_err(from_runtime)?;
    let values = found.into_iter().next().map(|found| found.values).unwrap_or_default();
    values.get(shift.active_at).copied().ok_or_else(|| {
        let message = format!("there is no position {}: the prompt has {} tokens", shift.active_at, tokens.len());
        Error::new(ErrorKind::InvalidValue, message).with_hint("positions are counted from 0, the BOS token included")
    })
}

async fn patterns(worker: &Worker, tokens: &[u32]) -> Result<Arc<Patterns>> {
    let (bytes, most) = (Patterns::most_bytes(worker.model(), tokens.len()), worker.generation_options().cache_bytes);
    if bytes > most {
        let message =
            format!("the attention weights of {} tokens take {bytes} bytes, of {most} there are", tokens.len());
        return Err(Error::new(ErrorKind::Resources, message).with_hint("do not freeze attention, or cut the prompt"));
    }
    let tokens = tokens.to_vec();
    let kept = worker.alone(move |model| Patterns::of(model, &tokens)).await.map_err(from_runtime)?;
    Ok(Arc::new(kept))
}

/// Begins a text that is read at its last layer from the prompt's last token on.
async fn begin(
    worker: &Worker,
    request: &ShiftRequest,
    tokens: &[u32],
    interventions: Vec<Intervention>,
    patterns: Option<Arc<Patterns>>,
) -> Result<Generation> {
    let config = worker.model().config();
    let last = config.n_layers.saturating_sub(1);
    let mut readout = Readout::new(config, vec![Lens::Logit], &[last], request.top_k, false).map_err(from_runtime)?;
    readout.from = tokens.len().saturating_sub(1);
    let asked = Request {
        prompt: tokens.to_vec(),
        max_tokens: request.max_tokens,
        sampling: request.sampling,
        stop: Stop::default(),
        logprobs: None,
        interventions,
        readout: Some(readout),
        patterns,
    };
    worker.generate(asked).await.map_err(from_runtime)
}

/// The whole text, token by token.
async fn whole(worker: &Worker, prompt: &[u32], mut generation: Generation) -> Result<Vec<TokenLogits>> {
    let tokenizer = worker.model().tokenizer();
    let before = prompt.len().saturating_sub(1);
    let texts = tokenizer.token_texts(prompt.get(..before).unwrap_or_default());
    let mut all: Vec<TokenLogits> =
        texts.into_iter().map(|token| TokenLogits { token, likeliest: Vec::new() }).collect();
    while let Some(event) = generation.next().await {
        if let Event::Read(read) = event.map_err(from_runtime)? {
            let likeliest: Vec<TokenLogit> = read.said.into_iter().flatten().flatten().collect();
            let ids: Vec<u32> = likeliest.iter().map(|likely| likely.token).collect();
            let likeliest = tokenizer.token_texts(&ids).into_iter().zip(likeliest).collect();
            let token = tokenizer.token_texts(&[read.token]).pop().unwrap_or_default();
            all.push(TokenLogits { token, likeliest });
        }
    }
    Ok(all)
}

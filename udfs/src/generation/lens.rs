//! A text that is written, or only read, under lenses: what every layer says at every position.
//!
//! The prompt is run once, with the text that follows it; positions are told as the model reads them. Steering goes by tokens: the
//! direction at a layer that a lens there sees as a token.

use std::sync::Arc;

use futures::future::BoxFuture;
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::generate::{Event, Generation, Request, Sampling, Stop};
use latentdb_runtime::lens::{JacobianLens, Lens, Readout};
use latentdb_runtime::service::Worker;
use latentdb_runtime::steer::{Change, Intervention, Positions, Which};
use latentdb_runtime::{Place, Point};
use serde::{Deserialize, Serialize};

use super::request::{Prompt, token_text, tokens};
use crate::failure::from_runtime;
use crate::library::Models;

/// Which lens, by Neuronpedia's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LensKind {
    /// The stream as it is.
    LogitLens,
    /// The stream through the model's average Jacobians.
    JacobianLens,
}

/// A token as a lens shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct LensToken {
    /// Its text, blanks included.
    pub token: String,
    /// The lens that shows it.
    #[serde(rename = "type")]
    pub kind: LensKind,
}

/// What is done to the direction of tokens.
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// It is added, times a share of the stream's length; at most the whole length.
    Add(f32),
    /// It is taken out.
    Ablate,
    /// What is along it is put along another token's.
    Swap(LensToken),
}

/// Steering by tokens. BOS tokens of the prompt are left as they are.
#[derive(Debug, Clone)]
pub struct LensSteering {
    /// The tokens; their directions are added up.
    pub tokens: Vec<LensToken>,
    /// After which blocks.
    pub layers: Vec<usize>,
    /// What is done.
    pub change: TokenChange,
    /// Whether it is done at generated tokens too.
    pub generated: bool,
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct LensRequest {
    /// Model id, as in the table `models`.
    pub model: String,
    /// What is read first.
    pub prompt: Prompt,
    /// The lenses; all that the model has if none is named.
    pub kinds: Vec<LensKind>,
    /// Layers that are looked at, and the last one; all if none is named.
    pub layers: Vec<usize>,
    /// Tokens that are shown for each layer.
    pub top_k: usize,
    /// Whether tokens that are no words are left out.
    pub only_words: bool,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// Tokens that the caller has the readings of already, where the prompt begins with them and nothing is steered.
    pub known: Vec<u32>,
    /// What is changed in the model.
    pub steering: Option<LensSteering>,
}

/// A reading that has begun.
#[derive(Debug)]
pub struct StartedLens {
    /// Tokens of the prompt.
    pub tokens: Vec<u32>,
    /// The lenses, each with its layers in order.
    pub lenses: Vec<(LensKind, Vec<usize>)>,
    /// The first position that is read out.
    pub from: usize,
    generation: Generation,
    worker: Worker,
}

impl StartedLens {
    /// The next event; none after the last.
    ///
    /// # Errors
    /// What the pass failed with; nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        self.generation.next().await.transpose().map_err(from_runtime)
    }

    /// The text of a token.
    pub fn token_text(&self, token: u32) -> String {
        token_text(self.worker.model(), token)
    }

    /// The text of some tokens together.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn text(&self, tokens: &[u32]) -> Result<String> {
        self.worker.model().tokenizer().decode(tokens).map_err(from_runtime)
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.worker.model().config().d_vocab
    }
}

impl Models {
    /// Begins to read a prompt, and to write what follows it, under lenses.
    ///
    /// # Errors
    /// If there is no such model, layer or token, the model has no Jacobian lens and one is asked for, or the prompt is empty or too
    /// long.
    pub fn begin_lens<'a>(&'a self, request: &'a LensRequest) -> BoxFuture<'a, Result<StartedLens>> {
        Box::pin(async move {
            let worker = self.worker(&request.model).await?;
            let config = worker.model().config();
            let (_, tokens) = tokens(worker.model(), &request.prompt)?;
            let kinds = self.kinds(request).await?;
            let jacobians = match kinds.contains(&LensKind::JacobianLens) || steers_by_jacobian(request) {
                true => Some(self.jacobian_lens(&request.model).await?),
                false => None,
            };
            let lenses = self.lenses(&request.model, &kinds).await?;
            let mut readout = Readout::new(config, lenses, &request.layers, request.top_k, request.only_words)
                .map_err(from_runtime)?;
            let interventions = match &request.steering {
                Some(steering) => interventions(&worker, jacobians.as_deref(), steering, &tokens)?,
                None => Vec::new(),
            };
            if interventions.is_empty() {
                readout.from = tokens.iter().zip(&request.known).take_while(|(one, other)| one == other).count();
            }
            let lenses = kinds.into_iter().zip(readout.layers().map(<[usize]>::to_vec)).collect();
            let from = readout.from;
            let asked = Request {
                prompt: tokens.clone(),
                max_tokens: request.max_tokens,
                sampling: request.sampling,
                stop: Stop::default(),
                logprobs: None,
                interventions,
                readout: Some(readout),
                patterns: None,
            };
            let generation = worker.generate(asked).await.map_err(from_runtime)?;
            Ok(StartedLens { tokens, lenses, from, generation, worker })
        })
    }

    /// The lenses that are asked for.
    async fn kinds(&self, request: &LensRequest) -> Result<Vec<LensKind>> {
        if !request.kinds.is_empty() {
            return Ok(request.kinds.clone());
        }
        let jacobian = self.has_jacobian_lens(&request.model).await?.then_some(LensKind::JacobianLens);
        Ok([LensKind::LogitLens].into_iter().chain(jacobian).collect())
    }

    /// The lenses of a model, by their kinds.
    pub(crate) async fn lenses(&self, model: &str, kinds: &[LensKind]) -> Result<Vec<Lens>> {
        let mut found = Vec::with_capacity(kinds.len());
        for kind in kinds {
            found.push(match kind {
                LensKind::LogitLens => Lens::Logit,
                LensKind::JacobianLens => Lens::Jacobian(self.jacobian_lens(model).await?),
            });
        }
        Ok(found)
    }
}

/// Whether a token that is steered by is one of the Jacobian lens.
fn steers_by_jacobian(request: &LensRequest) -> bool {
    let steering = request.steering.iter();
    let swapped = steering.clone().filter_map(|steering| match &steering.change {
        TokenChange::Swap(token) => Some(token),
        TokenChange::Add(_) | TokenChange::Ablate => None,
    });
    let mut tokens = steering.flat_map(|steering| &steering.tokens).chain(swapped);
    tokens.any(|token| token.kind == LensKind::JacobianLens)
}

/// What steering by tokens comes to.
fn interventions(
    worker: &Worker,
    jacobians: Option<&JacobianLens>,
    steering: &LensSteering,
    prompt: &[u32],
) -> Result<Vec<Intervention>> {
    let n_layers = worker.model().config().n_layers;
    let bos = worker.model().tokenizer().bos();
    let chosen = (0..prompt.len()).filter(|position| bos.is_none() || prompt.get(*position).copied() != bos).collect();
    let mut positions = vec![Which::Chosen(chosen)];
    positions.extend(steering.generated.then_some(Which::Generated));
    let mut all = Vec::new();
    for layer in &steering.layers {
        if *layer >= n_layers {
            return Err(Error::new(ErrorKind::InvalidValue, format!("there is no layer {layer} to steer at"))
                .with_hint(format!("the model's layers are 0 to {}", n_layers.saturating_sub(1))));
        }
        let direction = direction(worker, jacobians, &steering.tokens, *layer)?;
        let change = match &steering.change {
            TokenChange::Add(strength) => Change::AddShare { direction, strength: *strength },
            TokenChange::Ablate => Change::Orthogonal { direction, strength: 0.0 },
            TokenChange::Swap(token) => {
                let to = self::direction(worker, jacobians, std::slice::from_ref(token), *layer)?;
                Change::Swap { from: direction, to }
            }
        };
        for which in &positions {
            let at = Positions { which: which.clone(), skip_special: false };
            all.push(Intervention::new(Point::new(Place::ResidPost, *layer), change.clone()).at(at));
        }
    }
    Ok(all)
}

/// The sum of the tokens' directions after a block, each of length 1.
fn direction(
    worker: &Worker,
    jacobians: Option<&JacobianLens>,
    tokens: &[LensToken],
    layer: usize,
) -> Result<Arc<[f32]>> {
    let model = worker.model();
    let mut sum = vec![0.0f32; model.config().d_model];
    for LensToken { token, kind } in tokens {
        let id = model.tokenizer().token_with_text(token).ok_or_else(|| {
            Error::new(ErrorKind::UndefinedObject, format!("the model has no token {token:?}"))
                .with_hint("write it as a lens shows it, blanks included")
        })?;
        let mut seen = model.unembedding_vector(id).map_err(from_runtime)?;
        if let (LensKind::JacobianLens, Some(jacobians)) = (kind, jacobians) {
            seen = jacobians.direction(layer, &seen).map_err(from_runtime)?;
        }
        let length = seen.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            sum.iter_mut().zip(&seen).for_each(|(sum, value)| *sum += value / length);
        }
    }
    Ok(sum.into())
}
